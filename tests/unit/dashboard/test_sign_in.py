from itertools import count

import pytest

from rota.dashboard.sign_in import (
    CODE_SECONDS,
    CODES_MAX,
    SignInCodes,
    cookie_name,
    is_from_own_pages,
    is_secure_origin,
)
from tests.unit.services.virtual_time import VirtualClock


class CountedIds:
    """Ids and secrets that tell in which order they were made."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def new_id(self) -> str:
        return f"id-{next(self._numbers)}"

    def new_secret(self) -> str:
        return f"secret-{next(self._numbers)}"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def codes(clock: VirtualClock) -> SignInCodes:
    return SignInCodes(clock, CountedIds())


def test_a_code_gives_its_token_once(codes: SignInCodes) -> None:
    code = codes.issue("token")

    assert code != "token"
    assert codes.redeem(code) == "token"
    assert codes.redeem(code) is None


def test_an_unknown_code_gives_nothing_and_takes_nothing(codes: SignInCodes) -> None:
    code = codes.issue("token")

    assert [codes.redeem(other) for other in ("", "token", code + "x", code.upper())] == [None] * 4
    assert codes.redeem(code) == "token"


async def test_a_code_lasts_for_its_time_and_no_longer(codes: SignInCodes, clock: VirtualClock) -> None:
    in_time, too_late = codes.issue("a"), codes.issue("b")

    await clock.run_for(CODE_SECONDS)
    assert codes.redeem(in_time) == "a"
    await clock.run_for(0.001)
    assert codes.redeem(too_late) is None


def test_one_code_too_many_drops_the_oldest(codes: SignInCodes) -> None:
    first, second, *_ = [codes.issue(f"token {n}") for n in range(CODES_MAX + 1)]

    assert codes.redeem(first) is None
    assert codes.redeem(second) == "token 1"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1:8440", "rota_session_8440"),
        ("[::1]:9000", "rota_session_9000"),
        ("rota.example", "rota_session"),
        ("[::1]", "rota_session"),
        ("rota.example:8440; Path=/", "rota_session"),
        ("rota.example:\u0661", "rota_session"),
        ("", "rota_session"),
    ],
)
def test_the_cookie_is_named_by_the_port_of_the_address(host: str, name: str) -> None:
    assert cookie_name({"host": host}) == name


def test_without_a_host_the_cookie_has_its_plain_name() -> None:
    assert cookie_name({}) == "rota_session"


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"origin": "http://rota.example:8440"}, True),
        ({"origin": "https://ROTA.example:8440"}, True),
        ({"origin": "http://rota.example"}, False),
        ({"origin": "http://rota.example:8440.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://outside.example"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://rota.example:8440"}, False),
    ],
)
def test_a_post_is_taken_from_our_own_pages_alone(headers: dict[str, str], *, own: bool) -> None:
    assert is_from_own_pages({"host": "rota.example:8440", **headers}) is own


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({"origin": "https://rota.example"}, True),
        ({"origin": "http://rota.example"}, False),
        ({"x-forwarded-proto": "https"}, False),
        ({}, False),
    ],
)
def test_only_the_browsers_own_word_makes_a_cookie_secure(headers: dict[str, str], *, secure: bool) -> None:
    assert is_secure_origin(headers) is secure
