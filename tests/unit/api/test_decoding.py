import pytest

from rota.api.rest.app import ENDPOINTS
from rota.api.rest.decoding import NESTING_MAX, read_body, read_query
from rota.api.rest.endpoint import Endpoint
from rota.api.rest.runs_wire import RunQuery
from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.schedule import ScheduleDraft

ACME = TenantId("acme")
GOOD = b'{"name":"a","triggers":[{"kind":"interval","every_seconds":1}],"target":{"kind":"task","task":"x"}}'


def named(operation: str) -> Endpoint:
    return next(one for one in ENDPOINTS if one.operation_id == operation)


def refusal_of_body(raw: bytes, operation: str = "create_schedule", kind: str | None = None) -> DomainError:
    with pytest.raises(DomainError) as refused:
        read_body(named(operation), raw, kind, ACME)
    return refused.value


def refusal_of_query(raw: bytes, operation: str = "list_runs") -> DomainError:
    with pytest.raises(DomainError) as refused:
        read_query(named(operation), raw, ACME)
    return refused.value


def test_a_body_becomes_the_type_of_its_endpoint() -> None:
    assert isinstance(read_body(named("create_schedule"), GOOD, "application/json; charset=utf-8", ACME), ScheduleDraft)


@pytest.mark.parametrize("raw", [b"", b"  ", b"{", b"\xff", b'{"name": "\\ud800"}', b"[" * 5_000, b'{"a": 1e400}'])
def test_what_is_no_json_cannot_be_read(raw: bytes) -> None:
    assert refusal_of_body(raw).code == "MALFORMED_REQUEST"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/yaml"])
def test_another_content_type_is_refused_with_the_right_one(kind: str) -> None:
    refused = refusal_of_body(GOOD, kind=kind)
    assert refused.code == "MALFORMED_REQUEST"
    assert "application/json" in refused.detail


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"name":"a"}', "triggers"),
        (GOOD.replace(b'"task"}', b'"task","x":1}', 1).replace(b'"task":"x"', b'"task":"x","y":1'), "target.y"),
        (GOOD.replace(b"interval", b"cromn"), "triggers[0].kind"),
        (b'{"name":7}', "name"),
        (b"[]", ""),
    ],
)
def test_a_wrong_shape_names_its_field_and_a_remedy(raw: bytes, field: str) -> None:
    (problem,) = refusal_of_body(raw).problems
    assert problem.field == field
    assert problem.problem
    assert problem.remedy


def test_the_own_tenant_may_stand_in_a_body_and_another_may_not() -> None:
    assert read_body(named("create_schedule"), GOOD[:-1] + b',"tenant_id":"acme"}', None, ACME)
    assert refusal_of_body(GOOD[:-1] + b',"tenant_id":"globex"}').code == "TENANT_FORBIDDEN"
    assert refusal_of_body(GOOD[:-1] + b',"tenant_id":null}').code == "TENANT_FORBIDDEN"
    bulk = b"[" + GOOD + b"," + GOOD[:-1] + b',"tenant_id":"globex"}]'
    assert refusal_of_body(bulk, "create_schedules").code == "TENANT_FORBIDDEN"


def test_text_that_the_store_cannot_keep_is_named_by_its_path() -> None:
    raw = b'{"task":"x","args":{"list":["fine","bro\\u0000ken"],"na\\u0000me":1}}'
    assert {one.field for one in refusal_of_body(raw, "create_run").problems} == {"args.list[1]", "args.na\\0me"}


def test_nesting_is_bounded() -> None:
    deep = b'{"task":"x","args":{"a":' + b"[" * (NESTING_MAX + 1) + b"]" * (NESTING_MAX + 1) + b"}}"
    assert refusal_of_body(deep, "create_run").code == "INVALID_INPUT"


def test_a_verb_without_a_body_takes_an_empty_one_and_nothing_else() -> None:
    cancel = named("cancel_run")
    assert read_body(cancel, b"", None, ACME) == read_body(cancel, b"{}", None, ACME)
    assert refusal_of_body(b'{"force":true}', "cancel_run").problems[0].field == "force"


def test_a_query_becomes_the_type_of_its_endpoint() -> None:
    query = read_query(named("list_runs"), b"limit=5&state=failed&created_after=2026-01-01T00:00:00Z", ACME)
    assert isinstance(query, RunQuery)
    assert (query.limit, query.state) == (5, "failed")


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"limit=0", "limit"),
        (b"limit=501", "limit"),
        (b"limit=ten", "limit"),
        (b"limit=", "limit"),
        (b"offset=-1", "offset"),
        (b"state=done", "state"),
        (b"stat=failed", "stat"),
        (b"created_after=yesterday", "created_after"),
        (b"created_after=2026-01-01T00:00:00", "created_after"),
        (b"schedule_id=7", "schedule_id"),
        (b"limit=1&limit=2", "limit"),
        (b"queue=a%00b", "queue"),
    ],
)
def test_a_wrong_parameter_is_named_with_a_remedy(raw: bytes, field: str) -> None:
    refused = refusal_of_query(raw)
    assert refused.code == "INVALID_INPUT"
    assert refused.problems[0].field == field
    assert refused.problems[0].remedy


@pytest.mark.parametrize(
    "time", [b"0001-01-01T00:00:00Z", b"1970-01-01T00:00:00%2B14:00", b"9999-12-31T23:59:59-23:59"]
)
def test_a_time_of_creation_that_no_run_can_have_is_refused(time: bytes) -> None:
    query = read_query(named("list_runs"), b"created_after=" + time, ACME)
    assert isinstance(query, RunQuery)
    with pytest.raises(DomainError, match="outside the years 1970 to 2199") as refused:
        query.filter()
    assert refused.value.problems[0].field == "created_after"


def test_a_wrong_word_is_quoted_in_part() -> None:
    (problem,) = refusal_of_query(b"state=" + b"x" * 5_000).problems
    assert "'xxx" in problem.problem
    assert len(problem.problem) < 200


def test_every_wrong_parameter_is_told_at_once() -> None:
    assert [one.field for one in refusal_of_query(b"limit=0&offset=x&nope=1").problems] == ["limit", "nope", "offset"]


@pytest.mark.parametrize("name", [b"tenant_id", b"tenant"])
def test_a_query_may_not_name_another_tenant(name: bytes) -> None:
    assert refusal_of_query(name + b"=globex").code == "TENANT_FORBIDDEN"
    assert read_query(named("list_runs"), name + b"=acme", ACME)
