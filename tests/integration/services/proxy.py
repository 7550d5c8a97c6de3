"""A TCP proxy before a database that only has a Unix socket, which can begin to swallow everything without a word."""

import asyncio
import contextlib
from urllib.parse import parse_qs, urlsplit, urlunsplit

CHUNK_BYTES = 65_536


class Proxy:
    """`start` gives the address; while it is a black hole, sessions stay open and nothing comes through, either way."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._way = _open_way()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """The URL that leads through it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        parts = urlsplit(self._url)
        user_info = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user_info}@127.0.0.1:{port}", query=""))

    def swallow(self) -> None:
        self._way.clear()

    def heal(self, *, for_old_sessions: bool) -> None:
        """What was swallowed comes through late, as after a partition; or old sessions lead nowhere for ever, as after
        a firewall has forgotten them.
        """
        if for_old_sessions:
            self._way.set()
        else:
            self._way = _open_way()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        socket_dir, way = parse_qs(urlsplit(self._url).query)["host"][0], self._way
        try:
            await way.wait()
            back_reader, back_writer = await asyncio.open_unix_connection(f"{socket_dir}/.s.PGSQL.5432")
            await asyncio.gather(_pump(reader, back_writer, way), _pump(back_reader, writer, way))
        except (OSError, asyncio.CancelledError):
            writer.close()
        finally:
            self._tasks.discard(task)


def _open_way() -> asyncio.Event:
    way = asyncio.Event()
    way.set()
    return way


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: asyncio.Event) -> None:
    try:
        while data := await source.read(CHUNK_BYTES):
            await way.wait()
            sink.write(data)
            await sink.drain()
        await way.wait()
    finally:
        with contextlib.suppress(OSError):
            sink.close()
