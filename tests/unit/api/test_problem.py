import pytest

from rota.api.problem import PROBLEMS_SHOWN_MAX, describe
from rota.domain.errors import CATALOGUE, Bug, DomainError, Stale, Unavailable, invalid_input, not_found
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


def test_of_many_problems_the_first_are_shown_and_all_are_counted() -> None:
    problems = [FieldProblem(f"[{place}].task", "is missing", "name a task") for place in range(10_000)]
    problem = describe(invalid_input(problems), "r1", "/x").problem
    assert problem.errors == tuple(problems[:PROBLEMS_SHOWN_MAX])
    assert problem.detail == "[0].task: is missing (and 9999 more)"


def test_a_problem_of_the_whole_body_says_so() -> None:
    assert invalid_input([FieldProblem("", "has 0 runs", "send some")]).detail == "the body: has 0 runs"


def test_an_outage_says_when_to_come_back() -> None:
    failure = describe(Unavailable("the store is away", 2.4), "r1", "/x")
    assert (failure.problem.status, failure.headers) == (503, {"Retry-After": "2"})
    assert describe(Unavailable("", 0.1), "", "").headers == {"Retry-After": "1"}


def test_stale_is_a_conflict_and_a_missing_token_names_the_scheme() -> None:
    assert describe(Stale("moved on"), "", "").problem.status == 409
    assert "WWW-Authenticate" in describe(DomainError("UNAUTHENTICATED", ""), "", "").headers
