"""The API behind its real server and socket: what an in-process call cannot show."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from rota.composition.serving import HttpServer
from tests.integration.api.world import World
from tests.support.waiting import wait_until


@pytest.fixture
async def http_server(world: World) -> AsyncGenerator[HttpServer]:
    server = HttpServer("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(world.app))
    await server.wait_started()
    yield server
    server.stop(world.app)
    await asyncio.wait_for(serving, 10)


async def open_streams(world: World) -> float:
    text = world.ports.metrics.exposition().decode()
    return float(text.partition("\nrota_http_streams_open ")[2].partition("\n")[0])


async def test_a_client_that_goes_away_gives_its_place_back(world: World, http_server: HttpServer) -> None:
    async with (
        httpx.AsyncClient(base_url=http_server.url, headers=world.auth()) as client,
        client.stream("GET", "/api/v1/events/stream") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("retry:")
        await world.call("POST", f"/schedules/{world.ids['schedule_id']}/pause")
        async for line in lines:
            if line.startswith("data:"):
                assert "SchedulePaused" in line
                break
        assert await open_streams(world) == 1
    await wait_until(lambda: _is_zero(world), what="the stream's place is free")


async def _is_zero(world: World) -> bool:
    return await open_streams(world) == 0


async def test_a_stop_ends_open_streams_at_once_and_whole(world: World, http_server: HttpServer) -> None:
    async with (
        httpx.AsyncClient(base_url=http_server.url, headers=world.auth()) as client,
        client.stream("GET", "/api/v1/events/stream") as answer,
    ):
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("retry:")
        http_server.stop(world.app)
        rest = [line async for line in lines]
    assert not [line for line in rest if line.startswith("data:")]


async def test_an_unread_body_that_is_too_large_is_refused_over_a_socket(world: World, http_server: HttpServer) -> None:
    async with httpx.AsyncClient(base_url=http_server.url, headers=world.auth()) as client:
        sent = await client.post("/api/v1/schedules", content=b"x" * 2_000_000)
        assert (sent.status_code, sent.json()["code"]) == (413, "BODY_TOO_LARGE")

        async def endless() -> AsyncGenerator[bytes]:
            for _ in range(40):
                yield b"x" * 1_000_000

        chunked = await client.post("/api/v1/schedules", content=endless())
        assert (chunked.status_code, chunked.json()["code"]) == (413, "BODY_TOO_LARGE")
        again = await client.get("/api/v1/principal")
        assert again.status_code == 200
