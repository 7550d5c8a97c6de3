import pytest
from msgspec.structs import replace

from rota.domain.errors import DomainError
from rota.worker.options import WorkerOptions, option_problems, refuse_invalid


def test_the_defaults_are_valid() -> None:
    assert option_problems(WorkerOptions()) == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"queues": ()}, "queues"),
        ({"queues": ("a", "a")}, "queues"),
        ({"queues": ("fine", "Not Fine")}, "queues[1]"),
        ({"slots": 0}, "slots"),
        ({"slots": 1_001}, "slots"),
        ({"executors": 0}, "executors"),
        ({"log_lines_max": 0}, "log_lines_max"),
        ({"log_bytes_max": 0}, "log_bytes_max"),
        ({"app": "not a path"}, "app"),
        ({"app": "jobs:"}, None),
        ({"app": ":app"}, "app"),
        ({"allow_targets": ("10.0.0.0/8", "10.0.0.1/8")}, "allow_targets[1]"),
        ({"lease_seconds": 0.5, "renew_seconds": 0.1, "margin_seconds": 0.1}, "lease_seconds"),
        ({"renew_seconds": 2.0}, "renew_seconds"),
        ({"renew_seconds": float("nan")}, "renew_seconds"),
        ({"margin_seconds": 0.0}, "margin_seconds"),
        ({"drain_seconds": -1.0}, "drain_seconds"),
        ({"stop_grace_seconds": 0.0}, "stop_grace_seconds"),
    ],
)
def test_each_wrong_option_is_named_with_a_remedy(change: dict[str, object], field: str | None) -> None:
    problems = option_problems(replace(WorkerOptions(), **change))
    assert {problem.field for problem in problems} == ({field} if field else set())
    assert all(problem.remedy for problem in problems)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(DomainError) as refused:
        refuse_invalid(WorkerOptions(queues=("!",), slots=0))
    assert [problem.field for problem in refused.value.problems] == ["queues[0]", "slots"]
