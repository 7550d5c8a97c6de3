"""Endpoints as routes of Litestar: the one way from a request to a handler and from its answer, or failure, to bytes.

The order is fixed: tenant in the path, role, query, headers, body, verb. So what a role may not do is refused before
anything of the request is judged.
"""

import re
from typing import Any, cast
from urllib.parse import quote, unquote

from litestar import Request, Response, route
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from litestar.types import HTTPScope

from rota.api.authz import least_role, require
from rota.api.rest.decoding import read_body, read_query
from rota.api.rest.endpoint import BULK_BODY_BYTES_MAX, NAMED_BY_TENANT, SECRETS, Answer, Call, Endpoint, StreamAnswer
from rota.api.rest.gate import STATE_ACTOR, STATE_ROUTE, STATE_STREAMING, STATE_TOKEN_HASH
from rota.api.rest.rendering import to_json
from rota.api.rest.repeating import answer_once
from rota.api.rest.wiring import Services
from rota.api.tenancy import refuse_other_tenant
from rota.domain.errors import DomainError, not_found
from rota.domain.ids import TenantId, TokenId
from rota.services.acting import Actor

KEY_CHARACTERS_MAX = 255
# A proxy that gathers an answer before it passes it on would hold a stream back.
STREAM_HEADERS = {"X-Accel-Buffering": "no"}

_NOBODY = Actor(TenantId(""), "", TokenId(""), "viewer")
# Those that may hold slashes: they are the rest of the path.
PATH_TAILS = frozenset({"subject"})

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KEY = re.compile(r"[\x20-\x7e]+")


def bind(endpoint: Endpoint, services: Services) -> HTTPRouteHandler:
    """Start-up fails here where an endpoint names no row of the authorisation table."""
    if endpoint.access is not None:
        least_role(endpoint.access)

    async def handle(request: Request[Any, Any, State]) -> Response[Any]:
        request.scope["state"][STATE_ROUTE] = endpoint.full_path
        call = await _call(endpoint, services, request)
        answer = await answer_once(endpoint, call)
        if isinstance(answer, StreamAnswer):
            request.scope["state"][STATE_STREAMING] = True
            return Stream(answer.frames, media_type="text/event-stream; charset=utf-8", headers=STREAM_HEADERS)
        return Response(
            _content(answer), status_code=answer.status, headers=answer.headers, media_type=answer.content_type
        )

    handle.__name__ = endpoint.operation_id
    path = re.sub(r"\{(\w+)\}", lambda found: f"{{{found[1]}:{_kind(found[1])}}}", endpoint.full_path)
    return route(
        path, http_method=[endpoint.method], request_max_body_size=BULK_BODY_BYTES_MAX, status_code=endpoint.status
    )(handle)


def _kind(parameter: str) -> str:
    return "path" if parameter in PATH_TAILS else "str"


def _content(answer: Answer) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else to_json(answer.body)


async def _call(endpoint: Endpoint, services: Services, request: Request[Any, Any, State]) -> Call[Any, Any]:
    state = request.scope["state"]
    actor = cast("Actor", state.get(STATE_ACTOR, _NOBODY))
    path = _path(request, endpoint, actor)
    if endpoint.access is not None:
        require(actor.role, endpoint.access)
    query = read_query(endpoint, request.scope["query_string"], actor.tenant_id)
    if_match = _if_match(endpoint, request)
    key = _key(request) if endpoint.takes_key or endpoint.keeps_answer else None
    body = endpoint.body() if endpoint.method == "GET" else await _body(endpoint, request, actor.tenant_id)
    return Call(
        services=services,
        actor=actor,
        token_hash=state.get(STATE_TOKEN_HASH, b""),
        path=path,
        body=body,
        query=query,
        if_match=if_match,
        idempotency_key=key,
        last_event_id=request.headers.get("last-event-id"),
    )


def _path(request: Request[Any, Any, State], endpoint: Endpoint, actor: Actor) -> dict[str, str]:
    """The path's parameters. An id that cannot be one is as unknown as any other."""
    path = cast("dict[str, str]", dict(request.path_params))
    for name in PATH_TAILS & path.keys():
        path[name] = _tail(endpoint, name, request.scope)
    for name, value in path.items():
        if name == "tenant_id":
            if actor.role != "platform_admin":
                refuse_other_tenant(actor.tenant_id, value, "the path")
        elif name not in NAMED_BY_TENANT | SECRETS and _ID.fullmatch(value) is None:
            if endpoint.access is not None:
                require(actor.role, endpoint.access)
            raise not_found(name, value)
    return path


def _tail(endpoint: Endpoint, name: str, scope: HTTPScope) -> str:
    """As it was sent: the framework normalises what it matches, and slashes may be doubled in a name."""
    place = endpoint.full_path.split("/").index(f"{{{name}}}")
    sent = cast("bytes | None", scope.get("raw_path")) or quote(scope["path"]).encode()  # pyright: ignore[reportUnknownMemberType]
    return unquote(sent.partition(b"?")[0].decode("latin-1").split("/", place)[place])


def _if_match(endpoint: Endpoint, request: Request[Any, Any, State]) -> str | None:
    given = request.headers.get("if-match")
    if given is None and endpoint.version == "required":
        raise DomainError("VERSION_REQUIRED", "send the ETag that the object was read with in If-Match")
    return None if endpoint.version == "no" else given


def _key(request: Request[Any, Any, State]) -> str | None:
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    if len(given) > KEY_CHARACTERS_MAX or _KEY.fullmatch(given) is None:
        raise DomainError(
            "MALFORMED_REQUEST", f"Idempotency-Key must have 1 to {KEY_CHARACTERS_MAX} printable ASCII characters"
        )
    return given


async def _body(endpoint: Endpoint, request: Request[Any, Any, State], tenant_id: TenantId) -> object:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > endpoint.body_bytes_max:
        raise _too_large(endpoint)
    raw = await request.body()
    if len(raw) > endpoint.body_bytes_max:
        raise _too_large(endpoint)
    return read_body(endpoint, raw, request.headers.get("content-type"), tenant_id)


def _too_large(endpoint: Endpoint) -> DomainError:
    return DomainError("BODY_TOO_LARGE", f"a body may have {endpoint.body_bytes_max} bytes here")
