"""Requests against a server of the test's own on the loopback, which the guard must be told to allow."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from msgspec import structs

from rota.core.webhook_signature import signature_headers
from rota.domain.targets import HttpTarget, SignedHttpTarget
from rota.worker.builtin_tasks import builtin_app
from rota.worker.http_request import BODY_BYTES_KEPT, GuardedResolver, HttpOrder, Signing, TargetRefused, send_request
from rota.worker.outcomes import Failure
from rota.worker.target_guard import TargetGuard
from rota.worker.testing import fake_context, run_task

LOOPBACK = TargetGuard.parse(("127.0.0.0/8", "::1/128"))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """Answers with what the test sets; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[str, Callable[[], Awaitable[web.StreamResponse]]] = {}
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self.server = TestServer(app)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, dict(request.headers), await request.read()))
        return await self.answers[request.path]()

    def answer(self, path: str, status: int = 200, text: str = "fine", **headers: str) -> str:
        async def respond() -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(status=status, text=text, headers=named)

        self.answers[path] = respond
        return self.url(path)

    def url(self, path: str) -> str:
        return str(self.server.make_url(path))


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    made = Site()
    await made.server.start_server()
    yield made
    await made.server.close()


async def send(url: str, guard: TargetGuard = LOOPBACK, seconds: float = 5.0, **fields: Any) -> Any:
    order = HttpOrder(
        url, fields.get("method", "POST"), fields.get("headers", {}), fields.get("body"), fields.get("signing")
    )
    return await send_request(order, guard, seconds)


async def test_a_body_goes_out_as_json_and_the_answer_is_kept(site: Site) -> None:
    found = await send(site.answer("/a", text="päid"), body={"n": [1, None]}, headers={"X-Mine": "1"})
    ((method, _, headers, body),) = site.asked
    assert (method, body, headers["Content-Type"], headers["X-Mine"]) == (
        "POST",
        b'{"n":[1,null]}',
        "application/json",
        "1",
    )
    assert found == {"status": 200, "content_type": "text/plain; charset=utf-8", "body": "päid", "truncated": False}


async def test_text_goes_out_as_it_is_and_nothing_as_nothing(site: Site) -> None:
    url = site.answer("/a")
    await send(url, body="plain")
    await send(url, method="GET")
    assert [(method, body) for method, _, _, body in site.asked] == [("POST", b"plain"), ("GET", b"")]


async def test_a_long_answer_is_kept_up_to_its_bound(site: Site) -> None:
    found = await send(site.answer("/a", text="x" * (BODY_BYTES_KEPT + 1)))
    assert (len(found["body"]), found["truncated"]) == (BODY_BYTES_KEPT, True)


@pytest.mark.parametrize(
    ("status", "retryable", "failure_class"),
    [
        (400, False, "config"),
        (401, False, "auth"),
        (404, False, "config"),
        (408, True, "timeout"),
        (425, True, "unknown"),
        (429, True, "api_limit"),
        (500, True, "unknown"),
        (503, True, "network"),
        (304, False, "unknown"),
    ],
)
async def test_each_status_says_whether_another_try_can_help(
    site: Site, status: int, *, retryable: bool, failure_class: str
) -> None:
    found = await send(site.answer("/a", status, "no"))
    assert isinstance(found, Failure)
    assert (found.retryable, found.failure_class) == (retryable, failure_class)
    assert f"HTTP {status}" in found.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "17"}, 17.0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry_After": "Wed, 21 Oct 2020 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 -0000", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "99999999"}, 86_400.0),
        ({}, None),
    ],
)
async def test_retry_after_is_honoured_and_bounded(site: Site, headers: dict[str, str], seconds: float | None) -> None:
    found = await send(site.answer("/a", 503, **headers))
    assert isinstance(found, Failure)
    assert found.retry_after_seconds == seconds


async def test_an_answer_that_does_not_come_in_time_is_a_time_out(site: Site) -> None:
    never = asyncio.Event()

    async def hang() -> web.StreamResponse:
        await never.wait()
        return web.Response()

    site.answers["/a"] = hang
    found = await send(site.url("/a"), seconds=0.2)
    never.set()
    assert isinstance(found, Failure)
    assert (found.retryable, found.failure_class) == (True, "timeout")


async def test_a_refused_connection_is_worth_another_try() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = await send(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert isinstance(found, Failure)
    assert (found.retryable, found.failure_class) == (True, "network")


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/", "http://[::ffff:127.0.0.1]/"),
        *("http://localhost/", "http://0/", "http://2130706433/", "http://0x7f.1/", "http://127.1/"),
        # Digits and stops of other scripts, which become an address only when the name is encoded.
        *("http://\uff11\uff12\uff17.0.0.1/", "http://127\u30020\u30020\u30021/", "http://169.254.169\uff61254/"),
        *("http://\u2460\u2461\u2466.0.0.1/", "http://\u24dbocalhost/"),
    ],
)
async def test_private_targets_are_refused_however_they_are_written(url: str) -> None:
    found = await send(url, TargetGuard())
    assert isinstance(found, Failure)
    assert (found.retryable, found.failure_class) == (False, "config")
    assert any(words in found.message for words in ("private", "link-local", "not the address", "not a valid address"))


@pytest.mark.parametrize("url", ["ftp://example.com/", "http:///nowhere", "file:///etc/passwd", "nonsense"])
async def test_what_is_not_a_web_address_is_refused(url: str) -> None:
    found = await send(url)
    assert isinstance(found, Failure)
    assert (found.retryable, found.failure_class) == (False, "config")


async def test_a_header_that_would_smuggle_another_is_refused(site: Site) -> None:
    found = await send(site.answer("/a"), headers={"X": "1\r\nEvil: 2"})
    assert isinstance(found, Failure)
    assert not found.retryable
    assert site.asked == []


class TwoFaced(AbstractResolver):
    """A name server that answers with what it is told to."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.questions = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        self.questions += 1
        kind = socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        return None


async def test_only_the_allowed_addresses_of_a_name_are_connected_to() -> None:
    names = TwoFaced("10.0.0.1", "93.184.216.34", "169.254.169.254")
    found = await GuardedResolver(TargetGuard(), names).resolve("mixed.example", 80)
    assert [entry["host"] for entry in found] == ["93.184.216.34"]
    assert names.questions == 1


async def test_a_name_with_private_addresses_only_is_refused_by_name() -> None:
    with pytest.raises(TargetRefused, match=r"inside\.example may not be reached: 10\.0\.0\.1 is private"):
        await GuardedResolver(TargetGuard(), TwoFaced("10.0.0.1")).resolve("inside.example", 80)


async def test_a_redirect_into_a_forbidden_address_is_not_followed(site: Site) -> None:
    found = await send(site.answer("/a", 302, Location="http://169.254.169.254/latest/meta-data"))
    assert isinstance(found, Failure)
    assert "link-local" in found.message
    assert not found.retryable


async def test_a_redirect_to_a_disguised_address_opens_no_connection(site: Site) -> None:
    found = await send(site.answer("/a", 302, Location="http://\uff11\uff10.0.0.1/"))
    assert isinstance(found, Failure)
    assert (found.message, found.retryable) == (
        "10.0.0.1 is private; the operator can allow it with --allow-target",
        False,
    )


async def test_a_redirect_is_followed_as_browsers_do(site: Site) -> None:
    site.answer("/there")
    await send(site.answer("/see", 303, Location="/there"), body={"a": 1})
    await send(site.answer("/again", 307, Location="/there"), body={"a": 1})
    assert [(method, path, body) for method, path, _, body in site.asked if path == "/there"] == [
        ("GET", "/there", b""),
        ("POST", "/there", b'{"a":1}'),
    ]


async def test_credentials_stay_with_their_origin(site: Site) -> None:
    site.answer("/there")
    other = site.url("/there").replace("127.0.0.1", "localhost")
    secrets = {"Authorization": "Bearer secret", "Rota-Callback-Url": "https://rota.example.org/api/v1/callbacks/x"}
    await send(site.answer("/away", 307, Location=other), headers={**secrets, "X-Mine": "1"})
    await send(site.answer("/near", 307, Location="/there"), headers={"Authorization": "Bearer secret"})
    away, near = (headers for _, path, headers, _ in site.asked if path == "/there")
    assert (secrets.keys() & away.keys(), away["X-Mine"]) == (set(), "1")
    assert near["Authorization"] == "Bearer secret"


async def test_redirects_are_bounded(site: Site) -> None:
    found = await send(site.answer("/loop", 302, Location="/loop"))
    assert isinstance(found, Failure)
    assert "more than 5 redirects" in found.message
    assert len(site.asked) == 6


async def test_the_receiver_is_told_which_run_and_which_attempt_it_is(site: Site) -> None:
    app = builtin_app(allow_exec=False, allow_targets=("127.0.0.0/8",), stop_grace_seconds=1)
    context = fake_context(run_id="run-7", attempt_no=2, fire_at=datetime(2026, 3, 1, 2, 30, tzinfo=UTC))
    args = {"url": site.answer("/a"), "headers": {"idempotency-key": "forged", "ROTA-RUN-ID": "forged", "X-A": "b"}}

    outcome = await run_task(app, "rota.http", args, context)

    ((_, _, headers, _),) = site.asked
    assert outcome.outcome == "succeeded"
    assert "forged" not in headers.values()
    assert headers["X-A"] == "b"
    named = {name: headers[name] for name in ("Idempotency-Key", "Rota-Run-Id", "Rota-Attempt", "Rota-Fire-At")}
    assert named == {
        "Idempotency-Key": "run-7",
        "Rota-Run-Id": "run-7",
        "Rota-Attempt": "2",
        "Rota-Fire-At": "2026-03-01T02:30:00Z",
    }


SIGNING = Signing((b"k" * 32,), "run-7", 1_772_332_200)


def signatures(site: Site, path: str) -> list[str | None]:
    return [headers.get("webhook-signature") for _, asked, headers, _ in site.asked if asked == path]


async def test_a_signature_follows_to_the_same_origin_and_body_only(site: Site) -> None:
    site.answer("/there")
    other = site.url("/there").replace("127.0.0.1", "localhost")
    await send(site.answer("/near", 307, Location="/there"), body={"a": 1}, signing=SIGNING)
    await send(site.answer("/away", 307, Location=other), body={"a": 1}, signing=SIGNING)
    await send(site.answer("/see", 303, Location="/there"), body={"a": 1}, signing=SIGNING)
    expected = signature_headers(SIGNING.keys, "run-7", 1_772_332_200, b'{"a":1}')["webhook-signature"]
    assert signatures(site, "/there") == [expected, None, None]


def arguments_of(target: HttpTarget) -> dict[str, Any]:
    left_out = {"fan_out", "callback_timeout_seconds"}
    return {name: value for name, value in structs.asdict(target).items() if name not in left_out}


async def test_the_bytes_that_are_sent_are_the_bytes_that_are_signed(site: Site) -> None:
    app = builtin_app(allow_exec=False, allow_targets=("127.0.0.0/8",), stop_grace_seconds=1)
    at = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
    headers = {"Webhook-Signature": "v1,forged", "webhook-id": "forged"}
    for body in ({"amount": 1.50, "name": "päid"}, "text", None):
        target = HttpTarget(site.answer("/a"), headers=headers, body=body, signed_with="billing")
        args = {**arguments_of(target), "signed": SignedHttpTarget(target, (b"new", b"old"), at)}
        assert (await run_task(app, "rota.http", args, fake_context(run_id="run-7"))).outcome == "succeeded"
    for _, _, sent, raw in site.asked:
        expected = signature_headers((b"new", b"old"), "run-7", int(at.timestamp()), raw)
        assert {name: text for name, text in sent.items() if name.lower().startswith("webhook-")} == expected


async def test_a_request_that_cannot_be_signed_is_not_sent(site: Site) -> None:
    app = builtin_app(allow_exec=False, allow_targets=("127.0.0.0/8",), stop_grace_seconds=1)
    target = HttpTarget(site.answer("/a"), signed_with="gone")
    nothing = {**arguments_of(target), "signed": SignedHttpTarget(target, (), datetime(2026, 3, 1, tzinfo=UTC))}
    for args in (arguments_of(target), nothing):
        outcome = await run_task(app, "rota.http", args, fake_context(run_id="run-7"))
        assert outcome.outcome == "failed"
        assert outcome.error is not None
        assert (outcome.error.retryable, outcome.error.failure_class) == (False, "config")
    assert site.asked == []


async def test_a_request_that_nobody_could_call_back_about_is_not_sent(site: Site) -> None:
    app = builtin_app(allow_exec=False, allow_targets=("127.0.0.0/8",), stop_grace_seconds=1)
    target = HttpTarget(site.answer("/a"), accept_202="callback", headers={"rota-callback-url": "forged"})
    refused = await run_task(app, "rota.http", arguments_of(target), fake_context())
    assert refused.error is not None
    assert (refused.error.retryable, "--public-url" in refused.error.message, site.asked) == (False, True, [])

    args = {**arguments_of(target), "callback_url": "https://rota.example.org/api/v1/callbacks/x"}
    assert (await run_task(app, "rota.http", args, fake_context())).outcome == "succeeded"
    ((_, _, headers, _),) = site.asked
    given = [text for name, text in headers.items() if name.lower() == "rota-callback-url"]
    assert given == ["https://rota.example.org/api/v1/callbacks/x"]
