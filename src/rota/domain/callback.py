"""Callbacks: an attempt of an HTTP target that ends when the address that was given with the request is called.

The address is a secret, made for one attempt, kept as its hash, and answered once. From the target's 202 on the run
waits for it without a worker, under a token of its own, so that no other attempt can be ended by it.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from rota.domain.ids import AttemptToken, RunId, TenantId
from rota.domain.run import ClaimedRun, FailureClass, RunError

CallbackReceipt: TypeAlias = Literal["accepted", "repeated", "over", "unknown"]
"""`over`: its attempt has ended otherwise, or its time is up."""

WaitOutcome: TypeAlias = Literal["waiting", "cancelled", "stale"]

CALLBACK_HEADER = "Rota-Callback-Url"
CALLBACK_PATH = "/api/v1/callbacks/"


class OpenedCallback(Struct, frozen=True):
    """An address before its request is sent. It is told of as over for `keep_seconds` at least, if it comes to that."""

    secret_hash: bytes
    tenant_id: TenantId
    run_id: RunId
    token: AttemptToken
    wait_seconds: float
    keep_seconds: float


class CallbackError(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the work failed; the run's retry policy decides what follows."""

    message: str
    type: str = ""
    retryable: bool = True
    retry_after_seconds: float | None = None
    failure_class: FailureClass = "unknown"


class CallbackAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """What an address is called with: `result` belongs to a success, `error` to a failure."""

    outcome: Literal["succeeded", "failed"]
    result: Any = None
    error: CallbackError | None = None


class EndedWait(Struct, frozen=True):
    """A run whose waiting is over: answered where it has an `outcome`, else too late or to be cancelled.

    `claimed` is the attempt under the token that it waits with, None where its run has moved on already.
    """

    secret_hash: bytes
    claimed: ClaimedRun | None
    outcome: Literal["succeeded", "failed"] | None
    result_json: str | None
    error: RunError | None
    wait_seconds: float
    is_late: bool
