"""What every request passes before a route is looked for: a request id, authentication, the tenant it acts on; and what
it leaves behind: one log line, two metrics. An unknown path without a token is 401 like any other, also on loopback.

The log line has the path without its query, and never a header; of a ping or a callback it has not even the
path.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import structlog
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from rota.api.authn import Authenticator, bearer_hash
from rota.api.problem import PROBLEM_CONTENT_TYPE, Failure, describe
from rota.api.rest.wiring import Services
from rota.api.tenancy import TENANT_HEADER, acting_tenant
from rota.domain.callback import CALLBACK_PATH
from rota.domain.errors import RotaError
from rota.domain.ids import TenantId
from rota.domain.tenancy import Principal
from rota.services.acting import Actor

PUBLIC_PATHS = frozenset({"/api/v1/health/live", "/api/v1/health/ready"})
LABELLED_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
GUARDED_PREFIXES = ("/api", "/metrics")
SECRET_PREFIX = "/ping/"  # noqa: S105 - what secret paths begin with
SECRET_PREFIXES = (SECRET_PREFIX, CALLBACK_PATH)
REQUEST_ID_HEADER = "X-Request-Id"
STATE_ACTOR = "rota_actor"
STATE_TOKEN_HASH = "rota_token_hash"  # noqa: S105 - the name of a key
STATE_REQUEST_ID = "rota_request_id"
STATE_ROUTE = "rota_route"
STATE_STREAMING = "rota_streaming"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger("rota.api")


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Header names in lower case. A header that is given twice keeps its first value."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def logged_path(path: str) -> str:
    """What logs may hold of a path: those of pings and callbacks are secrets."""
    return next((f"{prefix}…" for prefix in SECRET_PREFIXES if path.startswith(prefix)), path)


def method_label(method: str) -> str:
    """A client may send any word: those that nothing here answers are one label."""
    return method if method in LABELLED_METHODS else "other"


def is_guarded(path: str) -> bool:
    inside = any(path == prefix or path.startswith(prefix + "/") for prefix in GUARDED_PREFIXES)
    return inside and path not in PUBLIC_PATHS and not path.startswith(CALLBACK_PATH)


class Gate:
    """An ASGI application around the routes."""

    def __init__(self, inner: ASGIApp, services: Services) -> None:
        self._inner = inner
        self._services = services
        self._authenticator: Authenticator = services.authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        http = cast("HTTPScope", scope)
        headers = headers_of(http)
        state = cast("dict[str, Any]", scope.setdefault("state", {}))
        state[STATE_REQUEST_ID] = request_id = self._request_id(headers)
        sender = _Sender(send, request_id)
        began_at = self._services.ports.clock.monotonic_seconds()
        try:
            if is_guarded(scope["path"]):
                await self._admit(state, headers, request_id)
        except RotaError as refused:
            self._services.ports.metrics.count("rota_http_refusals_total", code=refused.code)
            await send_failure(sender, describe(refused, request_id, scope["path"]))
        else:
            await self._inner(scope, receive, sender)
        finally:
            self._record(http, state, sender.status, began_at)

    def _request_id(self, headers: dict[str, str]) -> str:
        given = headers.get(REQUEST_ID_HEADER.lower(), "")
        return given if _REQUEST_ID.fullmatch(given) else self._services.ports.ids.new_id()

    async def _admit(self, state: dict[str, Any], headers: dict[str, str], request_id: str) -> None:
        token_hash = bearer_hash(headers.get("authorization"))
        principal = await self._authenticator.authenticate(token_hash)
        tenant_id = acting_tenant(principal, headers.get(TENANT_HEADER.lower()))
        await self._check_named(principal, tenant_id)
        state[STATE_TOKEN_HASH] = token_hash
        state[STATE_ACTOR] = Actor(tenant_id, principal.name, principal.token_id, principal.role, request_id)

    async def _check_named(self, principal: Principal, tenant_id: TenantId) -> None:
        """Only a platform_admin gets here with another tenant than its own; that one must exist."""
        if tenant_id != principal.tenant_id:
            await self._services.ports.tenants.get(tenant_id)

    def _record(self, scope: HTTPScope, state: dict[str, Any], status: int, began_at: float) -> None:
        seconds = self._services.ports.clock.monotonic_seconds() - began_at
        method, route = method_label(str(scope["method"])), str(state.get(STATE_ROUTE, "unmatched"))
        actor = cast("Actor | None", state.get(STATE_ACTOR))
        self._services.ports.metrics.count(
            "rota_http_requests_total", method=method, route=route, status=str(status or "none")
        )
        if STATE_STREAMING not in state:
            self._services.ports.metrics.observe("rota_http_request_seconds", seconds, method=method, route=route)
        _log.info(
            "request",
            method=method,
            path=logged_path(scope["path"]),
            status=status,
            duration_ms=round(seconds * 1000, 2),
            request_id=state[STATE_REQUEST_ID],
            tenant_id=actor.tenant_id if actor else None,
            token_id=actor.token_id if actor else None,
        )


class _Sender:
    """Adds the headers that every answer has, and remembers the status for the log line."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._extra = [
            (REQUEST_ID_HEADER.lower().encode(), request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ]
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name.lower() for name, _ in message["headers"]}
            extra = [(name, value) for name, value in self._extra if name not in present]
            message["headers"] = [*message["headers"], *extra]
        await self._send(message)


async def send_failure(send: Send, failure: Failure) -> None:
    body = msgspec.json.encode(failure.problem)
    headers = [
        (b"content-type", PROBLEM_CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in failure.headers.items()),
    ]
    await send({"type": "http.response.start", "status": failure.problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
