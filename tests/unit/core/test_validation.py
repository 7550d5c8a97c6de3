from datetime import datetime
from math import inf, nan
from typing import Any

import pytest
from msgspec.structs import replace as changed

from rota.core.validation import require_valid_draft, require_valid_run_draft, validate_draft, validate_run_draft
from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.policies import Policies, RetryPolicy, RunPolicy
from rota.domain.problems import FieldProblem
from rota.domain.run import RunDraft
from rota.domain.schedule import ScheduleDraft
from rota.domain.targets import HttpTarget, TaskTarget
from rota.domain.triggers import CronTrigger, IntervalTrigger
from tests.unit.core.values import draft

MINUTELY = IntervalTrigger(every_seconds=60)


def run_draft(**fields: Any) -> RunDraft:
    return changed(RunDraft(TenantId("acme"), TaskTarget("report"), RunPolicy()), **fields)


def assert_one_problem(found: tuple[FieldProblem, ...], field: str) -> None:
    assert [problem.field for problem in found] == [field]
    assert found[0].problem
    assert found[0].remedy


GOOD: list[ScheduleDraft] = [
    draft(),
    draft(MINUTELY, CronTrigger("H 2 * * *", timezone="Europe/Paris"), labels={"team/owner": "ops", "tier": ""}),
    changed(draft(), name="Rapport du soir – été", description="line\n\tline"),
    changed(draft(), target=TaskTarget("rota.exec", {"command": ["ls", "-l"], "env": {"A": "1"}})),
    changed(draft(), target=HttpTarget("https://[2001:db8::1]:8443/hook?x=1", headers={"X-Key": "a b"}, body={"a": 1})),
    changed(draft(), target=HttpTarget("http://127.0.0.1:9000/", method="GET")),
    draft(policies=Policies(timeout_seconds=60, soft_timeout_seconds=50, retry=RetryPolicy(delays_seconds=()))),
    draft(policies=Policies(retry=RetryPolicy(non_retryable=("ValueError", "shop.errors.SoldOut")))),
]


@pytest.mark.parametrize("good", GOOD)
def test_good_drafts_have_no_problem(good: ScheduleDraft) -> None:
    assert validate_draft(good) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("name", " nightly"),
        ("name", "night\nly"),
        ("name", "night\x00ly"),
        ("name", "half \ud800 pair"),
        ("description", "x" * 4001),
        ("description", "bell\x07"),
        ("triggers", ()),
        ("triggers", tuple(IntervalTrigger(every_seconds=60 + n) for n in range(21))),
        ("labels", {f"k{n}": "" for n in range(65)}),
    ],
)
def test_a_wrong_field_of_a_schedule_is_named(field: str, value: object) -> None:
    assert_one_problem(validate_draft(changed(draft(), **{field: value})), field)


@pytest.mark.parametrize(
    ("key", "value"), [("-team", "ops"), ("te am", "ops"), ("team", "x" * 257), ("team", "two\nlines")]
)
def test_a_wrong_label_is_named(key: str, value: str) -> None:
    assert_one_problem(validate_draft(draft(labels={key: value})), f"labels.{key}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("overlap", "twice"),
        ("misfire", "later"),
        *(("misfire_grace_seconds", wrong) for wrong in (0, -1.0, nan, inf, 1e9)),
        *(("catch_up_max", wrong) for wrong in (0, -1, 1001)),
        *(("catch_up_window_seconds", wrong) for wrong in (0, nan, 1e9)),
        *(("timeout_seconds", wrong) for wrong in (0, -1.0, nan, inf, 1e9)),
        *(("soft_timeout_seconds", wrong) for wrong in (0, -1.0, 3600.0)),
        *(("queue", wrong) for wrong in ("", "Default", "-slow", "a b", "x" * 65, "größer")),
        *(("priority", wrong) for wrong in (-1, 10)),
    ],
)
def test_a_wrong_policy_is_named(field: str, value: object) -> None:
    policies = changed(Policies(), **{field: value})

    assert_one_problem(validate_draft(draft(policies=policies)), f"policies.{field}")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("delays_seconds", {"delays_seconds": (1.0,) * 101}),
        ("delays_seconds[1]", {"delays_seconds": (1.0, -1.0)}),
        ("delays_seconds[0]", {"delays_seconds": (nan,)}),
        ("base_seconds", {"base_seconds": -1.0}),
        ("cap_seconds", {"base_seconds": 10.0, "cap_seconds": 5.0}),
        ("factor", {"factor": 0.5}),
        ("factor", {"factor": inf}),
        ("attempts_max", {"attempts_max": 0}),
        ("attempts_max", {"attempts_max": 1001}),
        ("non_retryable", {"non_retryable": tuple(f"E{n}" for n in range(51))}),
        ("non_retryable[0]", {"non_retryable": ("not a name",)}),
    ],
)
def test_a_wrong_retry_policy_is_named(field: str, fields: dict[str, Any]) -> None:
    policies = Policies(retry=RetryPolicy(**fields))

    assert_one_problem(validate_draft(draft(policies=policies)), f"policies.retry.{field}")


def test_a_catch_up_window_within_the_grace_is_refused() -> None:
    policies = Policies(misfire="fire_all", misfire_grace_seconds=600, catch_up_window_seconds=60)

    assert_one_problem(validate_draft(draft(policies=policies)), "policies.catch_up_window_seconds")


@pytest.mark.parametrize("task", ["", "1task", "a b", "x" * 201, "report.", "ré"])
def test_a_wrong_task_name_is_refused(task: str) -> None:
    assert_one_problem(validate_draft(changed(draft(), target=TaskTarget(task))), "target.task")


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "args",
    [
        {"not a name": 1},
        {"big": "x" * (256 * 1024)},
        {"deep": nested(70)},
        {"nul": "a\x00b"},
        {"inner": {"half": ["\ud800"]}},
        {"number": nan},
        {"thing": object()},
    ],
)
def test_arguments_that_cannot_be_stored_are_refused(args: dict[str, Any]) -> None:
    assert_one_problem(validate_draft(changed(draft(), target=TaskTarget("report", args))), "target.args")


def test_numbers_count_with_all_the_digits_that_readers_get_back() -> None:
    found = validate_draft(changed(draft(), target=TaskTarget("report", {"a": [1e300] * 1_000})))
    assert_one_problem(found, "target.args")
    assert "bytes as JSON" in found[0].problem
    assert not validate_draft(changed(draft(), target=TaskTarget("report", {"a": [1e300] * 100})))
    assert not validate_draft(changed(draft(), target=TaskTarget("report", {"a": ["1e300"] * 1_000})))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@example.com/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://exa mple.com/",
        "https://example.com/\r\nX-Evil: 1",
        "https://[::1",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "https://example.com/" + "x" * 2048,
    ],
)
def test_a_wrong_address_is_refused(url: str) -> None:
    assert_one_problem(validate_draft(changed(draft(), target=HttpTarget(url))), "target.url")


@pytest.mark.parametrize(
    ("field", "target"),
    [
        ("method", HttpTarget("https://example.com", method="BREW")),  # pyright: ignore[reportArgumentType]
        ("headers", HttpTarget("https://example.com", headers={f"X-{n}": "" for n in range(65)})),
        ("headers.X Y", HttpTarget("https://example.com", headers={"X Y": "1"})),
        ("headers.Host", HttpTarget("https://example.com", headers={"Host": "other"})),
        ("headers.X-A", HttpTarget("https://example.com", headers={"X-A": "1\r\nX-B: 2"})),
        ("headers.X-A", HttpTarget("https://example.com", headers={"X-A": "x" * 8193})),
        ("body", HttpTarget("https://example.com", method="GET", body="x")),
        ("body", HttpTarget("https://example.com", body={"a": "\x00"})),
    ],
)
def test_a_wrong_request_is_refused(field: str, target: HttpTarget) -> None:
    assert_one_problem(validate_draft(changed(draft(), target=target)), f"target.{field}")


def test_a_trigger_is_checked_where_it_stands() -> None:
    found = validate_draft(draft(MINUTELY, CronTrigger("99 * * * *"), IntervalTrigger(every_seconds=-1)))

    fields = [problem.field for problem in found]
    assert fields[0].startswith("triggers[1].expression")
    assert fields[1:] == ["triggers[2].every_seconds"]


def test_the_same_trigger_twice_is_refused() -> None:
    assert_one_problem(validate_draft(draft(MINUTELY, MINUTELY)), "triggers[1]")


def test_every_problem_is_reported_at_once() -> None:
    bad = changed(draft(policies=Policies(priority=11)), name="", target=TaskTarget(""), triggers=())

    with pytest.raises(DomainError) as refused:
        require_valid_draft(bad)
    fields = [problem.field for problem in refused.value.problems]
    assert fields == ["name", "triggers", "target.task", "policies.priority"]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("queue", {"queue": "No"}),
        ("priority", {"priority": 10}),
        ("delay_seconds", {"delay_seconds": -1.0}),
        ("delay_seconds", {"delay_seconds": nan}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": "x" * 201}),
        ("fire_at", {"fire_at": datetime(2026, 3, 2)}),  # noqa: DTZ001 - a time without an offset is the point
        ("policy.timeout_seconds", {"policy": RunPolicy(timeout_seconds=-1)}),
        ("policy.serial", {"policy": RunPolicy(serial=True)}),
        ("policy.retry.attempts_max", {"policy": RunPolicy(retry=RetryPolicy(attempts_max=0))}),
        ("target.task", {"target": TaskTarget("")}),
    ],
)
def test_a_wrong_field_of_a_run_is_named(field: str, fields: dict[str, Any]) -> None:
    assert validate_run_draft(run_draft()) == ()
    assert_one_problem(validate_run_draft(run_draft(**fields)), field)
    with pytest.raises(DomainError):
        require_valid_run_draft(run_draft(**fields))
