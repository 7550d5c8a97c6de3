"""The client against a server that answers what the test says, over a real socket."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rota.client.context import ApiContext
from rota.client.http import ApiClient, ApiError


class Scripted(ThreadingHTTPServer):
    """Answers with the next of `answers`, (status, content type, body), and keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, str, str]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []

    def client(self) -> ApiClient:
        return ApiClient(ApiContext(f"http://127.0.0.1:{self.server_port}", "token", "default"))


class _Handler(BaseHTTPRequestHandler):
    server: Scripted  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        status, kind, body = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as scripted:
        thread = threading.Thread(target=scripted.serve_forever, args=(0.01,))
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join()


def stream(*frames: str) -> tuple[int, str, str]:
    return 200, "text/event-stream", "retry: 1000\n\n" + "".join(f"{frame}\n\n" for frame in frames)


def test_a_stream_that_breaks_is_resumed_behind_its_last_event(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.client.http.RECONNECT_SECONDS", 0.0)
    problem = '{"status": 503, "code": "UNAVAILABLE", "detail": "gone", "title": "", "errors": []}'
    server.answers = [
        stream('id: 1.1\nevent: line\ndata: {"text": "a"}', ": still here"),
        (503, "application/problem+json", problem),
        stream(f"event: error\ndata: {problem}"),
        stream('id: 1.2\nevent: line\ndata: {"text": "b"}', 'event: end\ndata: {"state": "failed"}'),
    ]

    with server.client() as client:
        heard = [(event.name, event.data) for event in client.follow("/x")]

    assert heard == [("line", {"text": "a"}), ("line", {"text": "b"}), ("end", {"state": "failed"})]
    assert [headers.get("Last-Event-ID") for _, headers in server.asked] == [None, "1.1", "1.1", "1.1"]


def test_a_stream_that_is_refused_is_not_asked_for_again(server: Scripted) -> None:
    server.answers = [(401, "application/problem+json", '{"code": "UNAUTHENTICATED", "detail": "no"}')]

    with server.client() as client, pytest.raises(ApiError) as refused:
        list(client.follow("/x"))

    assert refused.value.code == "UNAUTHENTICATED"
    assert len(server.asked) == 1


def test_a_listing_goes_along_its_pages_as_far_as_it_is_wanted(server: Scripted) -> None:
    page = '{"items": [{"n": %d}], "total_count": 9, "limit": 1, "offset": 0, "has_more": true, "next_cursor": "%d"}'
    server.answers = [(200, "application/json", page % (number, number)) for number in (1, 2)]

    with server.client() as client:
        found = client.listing("/runs", 2, state=None)

    assert [one["n"] for one in found.items] == [1, 2]
    assert found.page == {
        "items": found.items, "total_count": 9, "limit": 2, "offset": 0, "has_more": True, "next_cursor": "2",
    }  # fmt: skip
    assert [path for path, _ in server.asked] == ["/api/v1/runs?limit=2", "/api/v1/runs?limit=1&cursor=1"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[", "ftp://x"])
def test_an_address_where_nobody_answers_is_named(url: str) -> None:
    with pytest.raises(ApiError) as refused, ApiClient(ApiContext(url, "t", "")) as client:
        client.get("/runs")

    assert refused.value.problems[0].field == "--url"


def test_an_answer_that_is_not_rotas_is_told(server: Scripted) -> None:
    server.answers = [(200, "text/html", "<html>"), (500, "text/html", "<html>")]

    with server.client() as client:
        with pytest.raises(ApiError) as foreign:
            client.get("/runs")
        with pytest.raises(ApiError) as failed:
            client.get("/runs")

    assert "no Rota" in foreign.value.problems[0].problem
    assert "500" in failed.value.detail
