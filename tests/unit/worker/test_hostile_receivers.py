"""Receivers that misbehave at the level of bytes, each on a socket of its own; and names that change their address."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from rota.adapters.system_clock import SystemClock
from rota.worker.http_request import BODY_BYTES_KEPT, GuardedResolver, HttpOrder, guarded_sockets, send_request
from rota.worker.outcomes import Failure
from rota.worker.target_guard import TargetGuard

LOOPBACK = TargetGuard.parse(("127.0.0.0/8",))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(talk: Talk) -> AsyncGenerator[str]:
    """Its address. What is still being said when the test is over is cut off."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await talk(reader, writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        for task in talks:
            task.cancel()
        server.close()


async def answer_of(talk: Talk, seconds: float = 5.0) -> object:
    async with receiver(talk) as url:
        return await send_request(HttpOrder(url, "GET", {}), LOOPBACK, seconds)


def saying(data: bytes) -> Talk:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return talk


async def test_an_answer_that_trickles_for_ever_ends_with_the_runs_time() -> None:
    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while True:
            writer.write(b"X-Slow: 1\r\n")
            await writer.drain()
            await SystemClock().sleep(0.01)

    found = await answer_of(trickle, 0.3)
    assert isinstance(found, Failure)
    assert found.retryable


async def test_a_body_that_trickles_for_ever_ends_with_the_runs_time() -> None:
    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await SystemClock().sleep(0.01)

    found = await answer_of(trickle, 0.3)
    assert isinstance(found, Failure)
    assert (found.retryable, found.failure_class) == (True, "timeout")


async def test_of_an_endless_body_only_its_beginning_is_read() -> None:
    sent = 0

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    found = await answer_of(pour)
    assert isinstance(found, dict)
    assert (len(found["body"]), found["truncated"]) == (BODY_BYTES_KEPT, True)
    assert sent < 64 * 1024 * 1024


async def test_headers_without_end_are_refused() -> None:
    found = await answer_of(saying(HEAD + b"X-Long: " + b"x" * 1_000_000 + b"\r\n\r\n"))
    assert isinstance(found, Failure)
    assert found.retryable


@pytest.mark.parametrize(
    "said",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\nnot a chunk\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\nx",
        HEAD + b"Content-Length: 100\r\n\r\nshort",
        HEAD + b"Content-Length: -1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_none_is_worth_another_try(said: bytes) -> None:
    found = await answer_of(saying(said))
    assert isinstance(found, Failure)
    assert found.retryable


async def test_a_connection_that_hangs_ends_with_the_runs_time() -> None:
    """It listens, and nobody accepts: the request is sent into the backlog."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        found = await send_request(HttpOrder(f"http://127.0.0.1:{deaf.getsockname()[1]}/", "GET", {}), LOOPBACK, 0.3)
    assert isinstance(found, Failure)
    assert (found.retryable, found.failure_class) == (True, "timeout")


class Rebinding(AbstractResolver):
    """The first answer may be reached; every later one is the machine's own address."""

    def __init__(self) -> None:
        self.questions = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        self.questions += 1
        address = "127.0.0.2" if self.questions == 1 else "127.0.0.1"
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        return None


async def test_a_name_that_changes_its_address_is_connected_to_where_it_was_judged() -> None:
    """Only 127.0.0.2 is allowed; a client that asked twice would come to 127.0.0.1, where somebody listens."""
    guard, names = TargetGuard.parse(("127.0.0.2/32",)), Rebinding()
    async with receiver(saying(HEAD + b"Content-Length: 6\r\n\r\nsecret")) as url:
        port = url.rstrip("/").rpartition(":")[2]
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(guard, names), socket_factory=guarded_sockets(guard), use_dns_cache=False
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await session.get(f"http://rebinding.example:{port}/")
            assert "Connect call failed ('127.0.0.2'" in str(refused.value)
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await session.get(f"http://rebinding.example:{port}/")
            assert "127.0.0.1 is private" in str(refused.value.__cause__)
    assert names.questions == 2
