"""Requests spoken to the application directly, so that an answer can be read while it is still being sent."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import msgspec
from litestar import Litestar

from tests.support.waiting import wait_until


class Exchange:
    """One request and what has come of its answer so far."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def frames(self) -> list[dict[str, str]]:
        """The complete server-sent events so far, without comments."""
        blocks = [block.splitlines() for block in self.body.decode().split("\n\n")[:-1]]
        parsed = [dict(line.split(": ", 1) for line in block if not line.startswith(":")) for block in blocks]
        return [frame for frame in parsed if "data" in frame]

    async def until(self, predicate: Callable[["Exchange"], bool], what: str = "") -> None:
        await wait_until(lambda: predicate(self), what=what or repr(self.body[-500:]))

    async def take(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            self.ended = not message.get("more_body", False)


@asynccontextmanager
async def exchange(
    app: Litestar, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
) -> AsyncGenerator[Exchange]:
    """The client goes away at the end of the block, whether the answer is complete or not."""
    plain, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(plain),
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("rota.test", 80),
    }
    sent, gone = Exchange(), asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(app(scope, receive, sent.take))  # pyright: ignore[reportArgumentType]
    try:
        await sent.until(lambda one: one.status != 0 or task.done(), "the answer begins")
        yield sent
    finally:
        gone.set()
        await asyncio.wait_for(task, 10)


async def answered(app: Litestar, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Exchange:
    """The whole answer, or the beginning of a stream."""
    async with exchange(app, method, path, headers, body) as sent:
        await sent.until(lambda one: one.ended or one.headers.get("content-type", "").startswith("text/event-stream"))
        return sent
