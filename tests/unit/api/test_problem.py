import pytest

from rota.api.problem import describe
from rota.domain.errors import CATALOGUE, Bug, DomainError, Stale, Unavailable, not_found
from rota.domain.problems import FieldProblem


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_code_is_said_with_its_own_title_and_status(code: str) -> None:
    failure = describe(DomainError(code, "why", [FieldProblem("a", "is b", "send c")]), "r1", "/x")
    meaning = CATALOGUE[code]
    assert (failure.problem.code, failure.problem.status, failure.problem.title) == (
        code,
        meaning.http_status,
        meaning.title,
    )
    assert failure.problem.errors == (FieldProblem("a", "is b", "send c"),)
    assert failure.problem.request_id == "r1"


@pytest.mark.parametrize("error", [Bug("row 7 of acme is odd"), ValueError("acme"), KeyError("acme")])
def test_a_defect_shows_no_detail(error: Exception) -> None:
    problem = describe(error, "r1", "/x").problem
    assert (problem.status, problem.code) == (500, "INTERNAL")
    assert "acme" not in problem.detail


def test_what_is_unknown_and_what_is_anothers_read_the_same() -> None:
    one = describe(not_found("schedule", "1"), "r1", "/x")
    other = describe(not_found("row of globex", "2"), "r1", "/x")
    assert one == other


def test_an_outage_says_when_to_come_back() -> None:
    failure = describe(Unavailable("the store is away", 2.4), "r1", "/x")
    assert (failure.problem.status, failure.headers) == (503, {"Retry-After": "2"})
    assert describe(Unavailable("", 0.1), "", "").headers == {"Retry-After": "1"}


def test_stale_is_a_conflict_and_a_missing_token_names_the_scheme() -> None:
    assert describe(Stale("moved on"), "", "").problem.status == 409
    assert "WWW-Authenticate" in describe(DomainError("UNAUTHENTICATED", ""), "", "").headers
