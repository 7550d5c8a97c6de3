"""The three families of errors, and the one table that gives each expected code its meaning.

- `DomainError`: expected. Carries a stable code from `CATALOGUE` and a detail that is safe to show to a tenant.
- `Unavailable` and `Stale`: nothing is wrong with the request; try again later, or read again first.
- `Bug`: a state that the code rules out. It is reported, never translated into something that looks expected.

`CATALOGUE` is the only place that maps a code to HTTP and gRPC; `docs/errors.md` is generated from it. A code is never
reused and never changes its meaning.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from rota.domain.problems import FieldProblem

GrpcStatus: TypeAlias = Literal[
    "INVALID_ARGUMENT",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "ABORTED",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "INTERNAL",
]


class ErrorMeaning(Struct, frozen=True):
    """What one stable code says to a caller, and how each wire says it."""

    code: str
    title: str
    http_status: int
    grpc_status: GrpcStatus
    caller_does: str


def _meaning(code: str, title: str, http_status: int, grpc_status: GrpcStatus, caller_does: str) -> ErrorMeaning:
    return ErrorMeaning(code, title, http_status, grpc_status, caller_does)


_MEANINGS = (
    _meaning("INVALID_INPUT", "The request is not valid", 422, "INVALID_ARGUMENT",
             "Mend the fields listed under `errors`; nothing was stored."),
    _meaning("MALFORMED_REQUEST", "The request cannot be read", 400, "INVALID_ARGUMENT",
             "Send well-formed JSON (or YAML for manifests) with the documented content type."),
    _meaning("UNAUTHENTICATED", "No valid credentials", 401, "UNAUTHENTICATED",
             "Send `Authorization: Bearer <token>` with a token that is neither expired nor revoked."),
    _meaning("TENANT_CONTEXT_UNAVAILABLE", "The request names no tenant", 400, "INVALID_ARGUMENT",
             "Send `tenant_id`, a text that is not blank; there is no fall-back."),
    _meaning("ROLE_FORBIDDEN", "The role does not allow this", 403, "PERMISSION_DENIED",
             "Use a token whose role allows the verb; `docs/api.md` lists them."),
    _meaning("TENANT_FORBIDDEN", "The token belongs to another tenant", 403, "PERMISSION_DENIED",
             "Leave the tenant out, or name the token's own."),
    _meaning("NOT_FOUND", "There is no such thing", 404, "NOT_FOUND",
             "Check the id; an object of another tenant answers the same."),
    _meaning("METHOD_NOT_ALLOWED", "The path does not know this method", 405, "INVALID_ARGUMENT",
             "Use a method that the API description lists for the path."),
    _meaning("NAME_TAKEN", "The name is in use", 409, "ALREADY_EXISTS",
             "Choose another name, or change the object that has it."),
    _meaning("STATE_CONFLICT", "The object's state does not allow this", 409, "FAILED_PRECONDITION",
             "Read the object again; the detail names its state and what it allows."),
    _meaning("EVIDENCE_EXISTS", "The fact is recorded with another time", 409, "ALREADY_EXISTS",
             "Keep the recorded time, which the detail names: evidence is written once. Use another subject or kind."),
    _meaning("LOCK_HELD", "Somebody else holds the lock", 409, "FAILED_PRECONDITION",
             "Try again later, or wait for it with `wait_seconds`; the detail names the holder."),
    _meaning("LOCK_LOST", "The token no longer holds the lock", 409, "ABORTED",
             "Stop the work that the lock protects: somebody else may hold it. Acquire it anew for a new token."),
    _meaning("QUOTA_EXCEEDED", "The tenant has as many as it may", 409, "RESOURCE_EXHAUSTED",
             "Free some of what the detail names; the limit does not pass by waiting."),
    _meaning("IDEMPOTENCY_MISMATCH", "The key was used for another request", 409, "ALREADY_EXISTS",
             "Use a new Idempotency-Key for a new request."),
    _meaning("GONE", "It is too late for this", 410, "FAILED_PRECONDITION",
             "Do not repeat it: what it was for has ended."),
    _meaning("VERSION_MISMATCH", "The object has changed", 412, "ABORTED",
             "Read the object, apply the change again and send its new ETag in If-Match."),
    _meaning("VERSION_REQUIRED", "If-Match is missing", 428, "FAILED_PRECONDITION",
             "Send the ETag of the version that you read in If-Match."),
    _meaning("BODY_TOO_LARGE", "The body is too large", 413, "RESOURCE_EXHAUSTED",
             "Send less at once; the detail names the limit."),
    _meaning("RATE_LIMITED", "Too many requests", 429, "RESOURCE_EXHAUSTED",
             "Wait for the time in Retry-After."),
    _meaning("UNAVAILABLE", "The store cannot be reached", 503, "UNAVAILABLE",
             "Try again after Retry-After; whether the last write was stored is unknown unless a key was sent."),
    _meaning("STALE", "What was read has changed underneath", 409, "ABORTED",
             "Read again and repeat the request."),
    _meaning("INTERNAL", "A defect in Rota", 500, "INTERNAL",
             "Report it with the request id; the log holds the rest."),
)  # fmt: skip

CATALOGUE: dict[str, ErrorMeaning] = {meaning.code: meaning for meaning in _MEANINGS}


class RotaError(Exception):
    """Root of all three families. `code` is always a key of `CATALOGUE`."""

    code: str = "INTERNAL"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class DomainError(RotaError):
    """Expected: the caller can do something about it.

    `problems` name each field, what is wrong and the remedy; empty where no field is at fault.
    """

    def __init__(self, code: str, detail: str, problems: Sequence[FieldProblem] = ()) -> None:
        if code not in CATALOGUE:
            raise Bug(f"error code {code!r} is not in the catalogue")
        super().__init__(detail)
        self.code = code
        self.problems = tuple(problems)


class Unavailable(RotaError):
    """A dependency did not answer. Repeat later; the outcome of a write in flight is unknown."""

    code = "UNAVAILABLE"

    def __init__(self, detail: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class Stale(RotaError):
    """A fence, version or token was no longer current: read again before deciding again."""

    code = "STALE"


class Bug(RotaError):
    """A programmer's error: an impossible transition, a broken invariant. Never caught to be hidden."""

    code = "INTERNAL"


def invalid_input(problems: Sequence[FieldProblem]) -> DomainError:
    """The 422 of a request whose fields are wrong; `problems` must not be empty."""
    if not problems:
        raise Bug("invalid_input without a problem")
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return DomainError("INVALID_INPUT", f"{first.field or 'the body'}: {first.problem}{more}", problems)


def not_found(kind: str, name: str) -> DomainError:
    """The same answer for what does not exist and for what is another tenant's (design law 11)."""
    return DomainError("NOT_FOUND", f"there is no {kind} {name!r}")
