"""Calls of the REST API: one connection, plain values in and out, every failure an `ApiError` with its problems.

It decides nothing about what is asked. Timeouts are bounded; a stream has none between events but its server's.
"""

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import httpx
import msgspec
from msgspec import Struct

from rota.client.context import ApiContext
from rota.domain.problems import FieldProblem

TIMEOUT_SECONDS = 30.0
STREAM_SILENCE_SECONDS_MAX = 60.0
"""A server says something every 15 s, so that one that is silent for longer is gone."""

RECONNECT_SECONDS = 1.0
RECONNECTS_MAX = 60
PAGE_LIMIT = 500


class ApiError(Exception):
    """An answer that is no success, or no answer at all (`status` 0)."""

    def __init__(self, status: int, code: str, detail: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.problems = problems


class _Problem(Struct, frozen=True):
    """The parts of a problem+json body that a person needs."""

    title: str = ""
    code: str = "INTERNAL"
    detail: str = ""
    errors: tuple[FieldProblem, ...] = ()
    request_id: str = ""


class Answer(Struct, frozen=True):
    """A decoded body and the version it stands for."""

    body: Any
    etag: str = ""


class Listing(Struct, frozen=True):
    """What one or more pages gave; `page` is all of it in the shape of one page of the API."""

    items: list[dict[str, Any]]
    total_count: int
    has_more: bool
    page: dict[str, Any]


class StreamEvent(Struct, frozen=True):
    """One server-sent event; `id` is where a stream resumes behind it."""

    name: str
    data: Any
    id: str | None


class ApiClient:
    """Use as a context manager. `tenant` is named only where it differs from the token's own (platform_admin)."""

    def __init__(self, context: ApiContext, *, names_tenant: bool = False) -> None:
        headers = {"Authorization": f"Bearer {context.token}", "Accept": "application/json"}
        if names_tenant and context.tenant:
            headers["X-Rota-Tenant"] = context.tenant
        self.url = context.url
        self._http = httpx.Client(base_url=f"{context.url}/api/v1", headers=headers, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
        return self.call("GET", path, query=query).body

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; `body` is anything that msgspec can encode. Absent query values are left out."""
        content = msgspec.json.encode(body) if body is not None else None
        sent = dict(headers or {}) | ({"Content-Type": "application/json"} if content is not None else {})
        with self._reachable():
            response = self._http.request(method, path, content=content, params=_present(query), headers=sent)
        _raise_for_problem(response)
        return Answer(self._decoded(response), response.headers.get("ETag", ""))

    def pages(self, path: str, limit: int | None = None, **query: object) -> Iterator[dict[str, Any]]:
        """All items of a listing, page by page along its cursor, at most `limit` of them."""
        left = limit
        cursor: str | None = None
        while left is None or left > 0:
            size = PAGE_LIMIT if left is None else min(left, PAGE_LIMIT)
            page = self.get(path, **query, limit=size, cursor=cursor)
            yield from page["items"]
            left = None if left is None else left - len(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def listing(self, path: str, limit: int, **query: object) -> Listing:
        """At most `limit` items, over as many pages as it takes."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(path, **query, limit=min(limit - len(items), PAGE_LIMIT), cursor=cursor)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= limit:
                whole = {**page, "items": items, "limit": limit, "offset": 0}
                return Listing(items, int(page["total_count"]), bool(page["has_more"]), whole)

    def follow(self, path: str, **query: object) -> Iterator[StreamEvent]:
        """Server-sent events until one named `end`. A stream that breaks is resumed behind its last event."""
        last_id: str | None = None
        tries_left: int | None = None
        pause = threading.Event()
        while True:
            try:
                for event in self._stream(path, query, last_id):
                    tries_left = RECONNECTS_MAX
                    last_id = event.id or last_id
                    if event.name:
                        yield event
                    if event.name == "end":
                        return
            except ApiError as broken:
                if not tries_left or broken.status not in {0, 503}:
                    raise
            tries_left = (RECONNECTS_MAX if tries_left is None else tries_left) - 1
            pause.wait(RECONNECT_SECONDS)

    def _stream(self, path: str, query: Mapping[str, object], last_id: str | None) -> Iterator[StreamEvent]:
        """One connection's events; the first, without a name, says that it stands."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=STREAM_SILENCE_SECONDS_MAX)
        with (
            self._reachable(),
            self._http.stream("GET", path, params=_present(query), headers=headers, timeout=timeout) as response,
        ):
            if response.is_error:
                response.read()
            _raise_for_problem(response)
            yield StreamEvent("", None, None)
            for event in _events_in(response.iter_lines()):
                if event.name == "error":
                    problem = msgspec.convert(event.data, _Problem)
                    raise ApiError(int(event.data.get("status", 500)), problem.code, problem.detail, problem.errors)
                yield event

    def _decoded(self, response: httpx.Response) -> Any:  # noqa: ANN401 - JSON
        if not response.content:
            return None
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError as foreign:
            remedy = "check that --url or the context file names the address of a Rota, without a path"
            problem = FieldProblem("--url", f"what answers at {self.url} is no Rota", remedy)
            raise ApiError(response.status_code, "MALFORMED_REQUEST", "the answer is no JSON", (problem,)) from foreign

    @contextmanager
    def _reachable(self) -> Generator[None]:
        try:
            yield
        except (httpx.RequestError, httpx.InvalidURL) as unreachable:
            reason = str(unreachable) or type(unreachable).__name__
            remedy = "check that it runs (`rota up`) and that --url or the context file names its address"
            problem = FieldProblem("--url", f"{self.url} does not answer: {reason}", remedy)
            raise ApiError(0, "UNAVAILABLE", f"{self.url} does not answer", (problem,)) from unreachable


def _present(query: Mapping[str, object] | None) -> dict[str, str | int | float | bool]:
    kept = {name: value for name, value in (query or {}).items() if value is not None}
    return {name: value if isinstance(value, (str, int, float, bool)) else str(value) for name, value in kept.items()}


def _events_in(lines: Iterator[str]) -> Iterator[StreamEvent]:
    name, place = "message", None
    for line in lines:
        field, _, value = line.partition(":")
        if field == "event":
            name = value.strip()
        elif field == "id":
            place = value.strip()
        elif field == "data":
            yield StreamEvent(name, msgspec.json.decode(value.strip()), place)
        elif not line:
            name = "message"


def _raise_for_problem(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem(detail=f"the server answered {response.status_code} without a reason")
    detail = problem.detail or problem.title
    suffix = f" (request {problem.request_id})" if response.status_code >= 500 and problem.request_id else ""
    raise ApiError(response.status_code, problem.code, detail + suffix, problem.errors)
