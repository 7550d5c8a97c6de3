"""Sending the request of an HTTP target, and what its answer means for the run.

2xx is success. 408, 425, 429 and 5xx are failures worth another try (`Retry-After` is honoured), every other answer is
one that no retry mends. The connection goes to the very address that the guard has judged: names are resolved once, by
the connector's resolver, and no socket is made to an address that the guard refuses, however the URL wrote it.
Redirects are followed here, each judged like the first. Credentials and signatures do not follow to another origin, nor
a signature to another body.
"""

import email.utils
import ipaddress
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from rota.core import webhook_signature
from rota.core.failure_class import classify_failure
from rota.domain.callback import CALLBACK_HEADER
from rota.domain.targets import HttpMethod
from rota.worker.outcomes import Failure
from rota.worker.target_guard import TargetGuard

BODY_BYTES_KEPT = 64 * 1024
REDIRECTS_MAX = 5
CONNECT_SECONDS_MAX = 10.0
RETRY_AFTER_SECONDS_MAX = 86_400.0

AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it: family, kind, protocol, canonical name, address."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORTH_A_RETRY = frozenset({408, 425, 429})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", CALLBACK_HEADER.lower()})


class Signing(msgspec.Struct, frozen=True):
    """What a request is signed as, and by which keys; `rota.core.webhook_signature` has the rule."""

    keys: tuple[bytes, ...]
    message_id: str
    unix_seconds: int


class HttpOrder(msgspec.Struct, frozen=True):
    """A mapping, list, number or truth value as `body` is sent as JSON, text as it is, None not at all."""

    url: str
    method: HttpMethod
    headers: dict[str, str]
    body: Any = None
    signing: Signing | None = None
    body_bytes_max: int = BODY_BYTES_KEPT


class TargetRefused(OSError):
    """The guard refused an address. An OSError, so that the connector passes it on as it is."""


class GuardedResolver(AbstractResolver):
    """Answers only with addresses that the guard allows; refuses when none is left."""

    def __init__(self, guard: TargetGuard, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        refusals = {entry["host"]: self._guard.refusal(entry["host"]) for entry in found}
        allowed = [entry for entry in found if refusals[entry["host"]] is None]
        if not allowed:
            raise TargetRefused(f"{host} may not be reached: {'; '.join(filter(None, refusals.values()))}")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


def guarded_sockets(guard: TargetGuard) -> Callable[[AddressInfo], socket.socket]:
    """The last gate: a host that became an address on the way (`１２７.0.0.1`) has passed no resolver."""

    def open_socket(found: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = found
        refused = guard.refusal(str(address[0]))
        if refused is not None:
            raise TargetRefused(refused)
        return socket.socket(family, kind, protocol)

    return open_socket


async def send_request(order: HttpOrder, guard: TargetGuard, timeout_seconds: float) -> dict[str, Any] | Failure:
    """The answer's status, headers that matter and the first 64 KiB of its body; or the failure."""
    timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=min(CONNECT_SECONDS_MAX, timeout_seconds))
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(guard),
        socket_factory=guarded_sockets(guard),
        use_dns_cache=False,
        force_close=True,
    )
    try:
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as session:
            return await _follow(session, order, guard)
    except TimeoutError:
        return Failure(f"{_origin(order.url)} did not answer in {timeout_seconds:.1f} s", failure_class="timeout")
    except aiohttp.ClientError as failed:
        return _client_failure(order, failed)
    except ValueError as malformed:
        return Failure(f"the request cannot be sent: {malformed}", retryable=False, failure_class="config")


async def _follow(session: aiohttp.ClientSession, order: HttpOrder, guard: TargetGuard) -> dict[str, Any] | Failure:
    for _ in range(REDIRECTS_MAX + 1):
        refused = _refused_url(order.url, guard)
        if refused is not None:
            return Failure(refused, retryable=False, failure_class="config")
        body = _encoded(order.body)
        async with session.request(
            order.method,
            order.url,
            headers=_headers(order, body),
            data=body,
            allow_redirects=False,
        ) as answer:
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or location is None:
                return await _judged(answer, order.body_bytes_max)
            order = _redirected(order, answer.status, urljoin(order.url, location))
    return Failure(f"more than {REDIRECTS_MAX} redirects", retryable=False, failure_class="config")


def _refused_url(url: str, guard: TargetGuard) -> str | None:
    """What the resolver will not see: the scheme, and an address that stands in the URL itself as an address."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"{url!r} is not an http or https address"
    try:
        ipaddress.ip_address(parts.hostname.partition("%")[0])
    except ValueError:
        return None
    return guard.refusal(parts.hostname)


def _redirected(order: HttpOrder, status: int, url: str) -> HttpOrder:
    """As browsers do it: 307 and 308 repeat the request, the others ask with GET."""
    headers, signing, bytes_max = order.headers, order.signing, order.body_bytes_max
    if _origin(url) != _origin(order.url):
        headers = {name: text for name, text in headers.items() if name.lower() not in _CREDENTIALS}
        signing = None
    if status in {307, 308}:
        return HttpOrder(url, order.method, headers, order.body, signing, bytes_max)
    return HttpOrder(url, "HEAD" if order.method == "HEAD" else "GET", headers, body_bytes_max=bytes_max)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _headers(order: HttpOrder, body: bytes | None) -> dict[str, str]:
    if order.signing is None:
        return _plain_headers(order)
    named = order.signing
    signed = webhook_signature.signature_headers(named.keys, named.message_id, named.unix_seconds, body or b"")
    return {**_plain_headers(order), **signed}


def _plain_headers(order: HttpOrder) -> dict[str, str]:
    given = {name.lower() for name in order.headers}
    defaults = {"User-Agent": "rota", "Accept-Encoding": "identity"}
    if order.body is not None:
        defaults["Content-Type"] = "text/plain; charset=utf-8" if isinstance(order.body, str) else "application/json"
    return {**{name: text for name, text in defaults.items() if name.lower() not in given}, **order.headers}


def _encoded(body: object) -> bytes | None:
    if body is None:
        return None
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


async def _judged(answer: aiohttp.ClientResponse, bytes_max: int) -> dict[str, Any] | Failure:
    kept, truncated = await _bounded_body(answer, bytes_max)
    if 200 <= answer.status < 300:
        return {
            "status": answer.status,
            "content_type": answer.headers.get("Content-Type", ""),
            "body": kept,
            "truncated": truncated,
        }
    return Failure(
        f"HTTP {answer.status} {answer.reason or ''}: {kept[:500]}".rstrip(": "),
        retryable=answer.status in _WORTH_A_RETRY or answer.status >= 500,
        retry_after_seconds=_retry_after_seconds(answer.headers),
        failure_class=classify_failure("", "", answer.status),
    )


async def _bounded_body(answer: aiohttp.ClientResponse, bytes_max: int) -> tuple[str, bool]:
    """The rest is never read: the connection is closed instead."""
    kept = bytearray()
    async for chunk in answer.content.iter_chunked(16_384):
        kept += chunk
        if len(kept) > bytes_max:
            break
    text = bytes(kept[:bytes_max]).decode("utf-8", "replace").replace("\0", "\ufffd")
    return text, len(kept) > bytes_max


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Seconds, or a date that is compared with the answer's own `Date`, so that no clock of ours is asked."""
    given = headers.get("Retry-After", "").strip()
    if given.isdecimal():
        return min(float(given), RETRY_AFTER_SECONDS_MAX)
    until, sent = _http_date(given), _http_date(headers.get("Date", ""))
    if until is None or sent is None:
        return None
    return min(max(0.0, (until - sent).total_seconds()), RETRY_AFTER_SECONDS_MAX)


def _http_date(text: str) -> datetime | None:
    """One without a zone (`-0000`) is in UTC, as all dates of HTTP are."""
    try:
        found = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _client_failure(order: HttpOrder, failed: aiohttp.ClientError) -> Failure:
    refused = failed if isinstance(failed, TargetRefused) else failed.__cause__ or getattr(failed, "os_error", None)
    if isinstance(refused, TargetRefused):
        return Failure(str(refused), retryable=False, failure_class="config")
    if isinstance(failed, aiohttp.InvalidURL):
        return Failure(f"{order.url!r} is not a valid address", retryable=False, failure_class="config")
    return Failure(f"{_origin(order.url)}: {failed or type(failed).__name__}", failure_class="network")
