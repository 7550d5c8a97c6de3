"""A worker's way to the database, which the harness can cut, or make deaf so that answers get lost.

Everything that a worker says to the database goes through one of these. The servers have no part in it.
"""

import asyncio
from urllib.parse import parse_qs, urlsplit, urlunsplit

from tests.support.waiting import loop_sleep

DEAF_TIMES_MAX = 5
DEAF_PAUSE_SECONDS = 2.0
# More than its renewals alone: ends, or a claim.
DEAF_CONNECTIONS_MIN = 3

_CHUNK = 262_144


class Link:
    """Listens on a port of its own; `url` leads through it once it was opened."""

    def __init__(self, database_url: str) -> None:
        self._target = urlsplit(database_url)
        query = parse_qs(self._target.query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}"
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._is_deaf = False
        self._deaf_count = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._end_all()
        await asyncio.gather(*self._clients, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(self._target._replace(query=f"host=127.0.0.1&port={port}&sslmode=disable"))

    async def cut(self, seconds: float) -> None:
        """Every connection ends, and none can be made for so long."""
        self._is_cut = True
        self._end_all()
        try:
            await loop_sleep(seconds)
        finally:
            self._is_cut = False

    async def deafen(self, seconds: float) -> None:
        """What the worker asks for is done, and for so long it hears no answer; then its connections end.

        One that asks for little, since its database or itself is away just then, is deafened again after a while.
        """
        for _ in range(DEAF_TIMES_MAX):
            self._is_deaf, self._deaf_count = True, 0
            try:
                await loop_sleep(seconds)
            finally:
                self._end_all()
                self._is_deaf = False
            if self._deaf_count >= DEAF_CONNECTIONS_MIN:
                return
            await loop_sleep(DEAF_PAUSE_SECONDS)

    def _end_all(self) -> None:
        for client in self._clients:
            client.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if not self._is_cut:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # this end of it is the fault, or the database's
        finally:
            writer.close()
            self._clients.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._socket, limit=_CHUNK)
        has_asked = asyncio.Event()  # while deaf: its answers get lost. Who only listens goes on hearing.
        try:
            async with asyncio.TaskGroup() as ways:
                back = ways.create_task(self._answer(from_server, writer, has_asked))
                await self._ask(reader, to_server, has_asked)
                back.cancel()
        except* OSError:
            pass
        finally:
            to_server.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, has_asked: asyncio.Event) -> None:
        while data := await reader.read(_CHUNK):
            if self._is_deaf and not has_asked.is_set():
                has_asked.set()
                self._deaf_count += 1
            writer.write(data)
            await writer.drain()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, has_asked: asyncio.Event
    ) -> None:
        while data := await reader.read(_CHUNK):
            if not has_asked.is_set():
                writer.write(data)
                await writer.drain()
        writer.close()
