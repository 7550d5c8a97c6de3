"""How a failure is said on HTTP: RFC 9457 problem+json, all of it read from `rota.domain.errors.CATALOGUE`.

An expected failure shows its detail; a defect shows its request id and nothing else. A NOT_FOUND never quotes what the
store said: what does not exist and what is another tenant's read the same (design law 11).
"""

from msgspec import Struct

from rota.domain.errors import CATALOGUE, Bug, DomainError, RotaError, Unavailable
from rota.domain.problems import FieldProblem

PROBLEM_CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:rota:error:"
PROBLEMS_SHOWN_MAX = 100
RATE_LIMITED_RETRY_AFTER_SECONDS = 5

_NOT_FOUND_DETAIL = "what the path names does not exist, or is not the token's to see"
_BUG_DETAIL = "Rota failed in a way that its code rules out; the log has the rest under this request id"


class Problem(Struct, frozen=True):
    """The body of every answer that is not a success. `errors` name the fields at fault, each with its remedy.

    They are at most 100; `detail` says how many there were.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: tuple[FieldProblem, ...]
    request_id: str
    instance: str


class Failure(Struct, frozen=True):
    """A problem with the headers that belong to it."""

    problem: Problem
    headers: dict[str, str]


def describe(error: BaseException, request_id: str, instance: str) -> Failure:
    """Any exception as its wire form. What is not one of the expected families is a defect."""
    code = error.code if isinstance(error, RotaError) else Bug.code
    meaning = CATALOGUE[code]
    detail = error.detail if isinstance(error, RotaError) and code != "INTERNAL" else _BUG_DETAIL
    if code == "NOT_FOUND":
        detail = _NOT_FOUND_DETAIL
    problems = error.problems[:PROBLEMS_SHOWN_MAX] if isinstance(error, DomainError) else ()
    problem = Problem(
        TYPE_PREFIX + code.lower(),
        meaning.title,
        meaning.http_status,
        code,
        detail,
        problems,
        request_id,
        instance,
    )
    return Failure(problem, _headers(error, code))


def _headers(error: BaseException, code: str) -> dict[str, str]:
    if isinstance(error, Unavailable):
        return {"Retry-After": str(max(1, round(error.retry_after_seconds)))}
    if code == "RATE_LIMITED":
        return {"Retry-After": str(RATE_LIMITED_RETRY_AFTER_SECONDS)}
    if code == "UNAUTHENTICATED":
        return {"WWW-Authenticate": 'Bearer realm="rota"'}
    return {}
