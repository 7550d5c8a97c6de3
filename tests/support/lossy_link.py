"""A link to PostgreSQL that loses answers: the server has committed, and the client never hears of it.

It reads the protocol, so that it cuts exactly between the commit and the answer, for the statements that a test names.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, urlsplit, urlunsplit

Fate = Literal["cut", "silent", "late"]
"""`cut`: the connection ends in place of the answer. `silent`: it stays open, and no answer comes. `late`: the
connection ends before the server has seen the statement, which it gets when the test calls `deliver_late`."""

_CHUNK = 65_536
_HEAD = struct.Struct("!cI")


@dataclass
class _Messages:
    """Bytes as whole messages: (type, all of its bytes)."""

    rest: bytes = b""

    def split(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self.rest += data
        whole: list[tuple[bytes, bytes]] = []
        while len(self.rest) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self.rest)
            if len(self.rest) < length + 1:
                break
            whole.append((kind, self.rest[: length + 1]))
            self.rest = self.rest[length + 1 :]
        return whole


@dataclass
class _Client:
    """One connection: its statements by name, and whether its next commit is to be lost."""

    texts: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    doomed: Fate | None = None
    committed: asyncio.Event = field(default_factory=asyncio.Event)

    def statement(self, kind: bytes, message: bytes) -> bytes | None:
        """The text of the statement that this message begins to execute."""
        body = message[5:]
        if kind == b"P":
            name, text = body.split(b"\0", 2)[:2]
            self.texts[name] = text
        if kind == b"B":
            return self.texts[body.split(b"\0", 2)[1]]
        return None


class LossyLink:
    """`url` leads through it. `losses_count` says how many answers were lost so far."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._planned: list[tuple[bytes, Fate]] = []
        self._late: list[tuple[_Client, asyncio.StreamWriter, bytes]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self.losses_count = 0

    @property
    def url(self) -> str:
        query = f"host=127.0.0.1&port={self._port}&sslmode=disable"
        return urlunsplit(self._target._replace(query=query))

    def lose(self, part: str, times: int = 1, fate: Fate = "cut") -> None:
        """The next answers to statements whose text contains *part*."""
        self._planned.extend((part.encode(), fate) for _ in range(times))

    async def deliver_late(self) -> None:
        """The server gets what was held back, and has executed it when this returns."""
        while self._late:
            client, to_server, data = self._late.pop(0)
            to_server.write(data)
            await asyncio.wait_for(client.committed.wait(), 10)
            to_server.close()

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator["LossyLink"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            for writer in self._writers:
                writer.close()
            await asyncio.gather(*self._tasks, *(w.wait_closed() for w in self._writers), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (directory,) = parse_qs(self._target.query)["host"]
        upstream = await asyncio.open_unix_connection(f"{directory}/.s.PGSQL.{self._server_port()}")
        self._writers += (writer, upstream[1])
        client = _Client()
        for work in (self._forth(client, reader, writer, upstream[1]), self._back(client, upstream[0], writer)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _server_port(self) -> str:
        return parse_qs(self._target.query).get("port", ["5432"])[0]

    async def _forth(
        self,
        client: _Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """From the client to the server. The first message has no type."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            length = await reader.readexactly(4)
            to_server.write(length + await reader.readexactly(int.from_bytes(length) - 4))
            messages = _Messages()
            while data := await reader.read(_CHUNK):
                for kind, message in messages.split(data):
                    text = client.statement(kind, message)
                    if text is not None and client.doomed is None:
                        client.doomed = self._fate_of(text)
                if client.doomed == "late":
                    self.losses_count += 1
                    self._late.append((client, to_server, data))
                    writer.close()
                    return
                to_server.write(data)
        if client.doomed != "late":
            to_server.close()

    async def _back(self, client: _Client, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the server to the client: of a doomed connection, all but the answer with which its transaction ends."""
        messages, held = _Messages(), b""
        with contextlib.suppress(ConnectionError, RuntimeError):
            while data := await from_server.read(_CHUNK):
                if client.doomed is None:
                    writer.write(data)
                    continue
                for kind, message in messages.split(data):
                    held += message
                    if kind == b"Z" and message[5:6] == b"I":
                        self.losses_count += client.doomed != "late"
                        client.committed.set()
                        if client.doomed != "silent":
                            writer.close()
                        return
                    if kind == b"Z":
                        writer.write(held)
                        held = b""
        writer.close()

    def _fate_of(self, text: bytes) -> Fate | None:
        for place, (part, fate) in enumerate(self._planned):
            if part in text:
                del self._planned[place]
                return fate
        return None
