"""An endpoint as data: method, path, access, types in and out.

The routes, the authorisation matrix, the API description and the isolation test are all read from these records, so
that an endpoint cannot be known to one and not to another.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from msgspec import Struct, field

from rota.api.authz import Access
from rota.api.rest.wiring import Services
from rota.domain.ids import TenantId
from rota.services.acting import Actor

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

API_PREFIX = "/api/v1"
BODY_BYTES_MAX = 1_048_576
BULK_BODY_BYTES_MAX = 16 * 1_048_576

# Path parameters that are names within the acting tenant, not ids that the store gave out.
NAMED_BY_TENANT = frozenset(
    {
        "flag_name",
        "calendar_name",
        "lock_name",
        "template_name",
        "milestone",
        "kind",
        "subject",
        "policy_id",
        "queue_name",
    }
)
# Those that are a credential: no id, and named in no answer.
SECRETS = frozenset({"callback_secret"})

# POSTs that take no Idempotency-Key, and why a repeated one could do no harm, or would be answered wrongly.
NEEDS_NO_KEY: Mapping[str, str] = {
    "preview_draft": "it changes nothing",
    "evaluate_milestones": "a tick asks what is due now; two of them make one report",
    "continue_bulk_operation": "each call goes on; a run's turn comes once",
    "renew_lock": "the fencing token makes it repeatable, and an old answer would tell an end that is over",
}

BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT")


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No body, or no query parameters."""


class Call(Struct, Generic[BodyT, QueryT], frozen=True):
    """One request after authentication, tenancy, authorisation and decoding. `path` holds the path's parameters."""

    services: Services
    actor: Actor
    token_hash: bytes
    path: dict[str, str]
    body: BodyT
    query: QueryT
    if_match: str | None = None
    idempotency_key: str | None = None
    last_event_id: str | None = None

    @property
    def tenant_id(self) -> TenantId:
        return self.actor.tenant_id


class Answer(Struct, frozen=True):
    """`body` is any value of the endpoint's answer type; bytes go out as they are."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content_type: str = "application/json"


class StreamAnswer(Struct, frozen=True):
    """Server-sent events, already in their text form."""

    frames: AsyncIterator[str]


Handler: TypeAlias = Callable[[Call[Any, Any]], Awaitable[Answer | StreamAnswer]]


class Endpoint(Struct, frozen=True, kw_only=True):
    """`access` is None only where no token is needed. `answers` are the types of its answer, none where
    that is no JSON of ours; `other_status` is of the same answer, where it tells two cases apart.

    `version` says whether If-Match is taken; a "required" one that is missing answers 428. Where a body must name the
    tenant (`names_tenant`), one that does not is refused before anything else of it is judged. `takes_key`: the verb
    sees to repeated requests by itself. An answer that `tells_secret` is kept nowhere.
    """

    method: Method
    path: str
    access: Access | None
    summary: str
    handler: Handler
    body: Any = Nothing
    body_required: bool = True
    body_bytes_max: int = BODY_BYTES_MAX
    query: type[Struct] = Nothing
    answers: tuple[Any, ...] = ()
    status: int = 200
    other_status: int | None = None
    content_type: str = "application/json"
    version: Literal["no", "optional", "required"] = "no"
    takes_key: bool = False
    tells_secret: bool = False
    names_tenant: bool = False
    errors: tuple[str, ...] = ()
    example: Any = None
    under_api: bool = True

    @property
    def full_path(self) -> str:
        return f"{API_PREFIX}{self.path}" if self.under_api else self.path

    @property
    def keeps_answer(self) -> bool:
        """Whether a repeated Idempotency-Key is answered by what was kept: POSTs that do not see to it themselves."""
        is_post = self.method == "POST" and self.access is not None
        return is_post and not self.takes_key and self.operation_id not in NEEDS_NO_KEY

    @property
    def has_body(self) -> bool:
        return self.body is not Nothing

    @property
    def operation_id(self) -> str:
        return getattr(self.handler, "__name__", self.path)


class EndpointFields(TypedDict, total=False):
    """The fields of `Endpoint` that have a default."""

    body: Any
    body_required: bool
    body_bytes_max: int
    query: type[Struct]
    answers: tuple[Any, ...]
    status: int
    other_status: int | None
    content_type: str
    version: Literal["no", "optional", "required"]
    takes_key: bool
    tells_secret: bool
    names_tenant: bool
    errors: tuple[str, ...]
    example: Any
    under_api: bool


def endpoint(
    method: Method, path: str, access: Access | None, **rest: Unpack[EndpointFields]
) -> Callable[[Handler], Endpoint]:
    """Makes an `Endpoint` of a handler; its docstring's first line is the summary."""

    def bind(handler: Handler) -> Endpoint:
        summary = (handler.__doc__ or "").strip().partition("\n")[0]
        return Endpoint(method=method, path=path, access=access, summary=summary, handler=handler, **rest)

    return bind
