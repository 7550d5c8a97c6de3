"""What an executor says arrives in order, and ends arrive soon although they travel together."""

import socket
from collections.abc import Generator

import pytest

from rota.worker.outlet import Outlet
from rota.worker.protocol import (
    ENDS_PER_FRAME_MAX,
    AttemptEnd,
    Begun,
    Ended,
    FromExecutor,
    Lines,
    frames_from_executor,
)


class Ear:
    """The supervisor's end of the socket."""

    def __init__(self) -> None:
        self.connection, self.theirs = socket.socketpair()
        self.connection.settimeout(5.0)
        self.outlet = Outlet(self.theirs)
        self._frames = frames_from_executor()
        self._heard: list[FromExecutor] = []

    def hear(self, count: int) -> list[FromExecutor]:
        while len(self._heard) < count:
            self._heard += self._frames.feed(self.connection.recv(1 << 20))
        heard, self._heard = self._heard[:count], self._heard[count:]
        return heard


@pytest.fixture
def ear() -> Generator[Ear]:
    made = Ear()
    with made.connection, made.theirs:
        yield made
        made.outlet.close()


def end(key: int) -> AttemptEnd:
    return AttemptEnd(key, "succeeded", "null")


def test_ends_travel_together_behind_their_lines_and_before_what_is_said_later(ear: Ear) -> None:
    ear.outlet.add_line(1, "log", "first")
    ear.outlet.add_line(2, "log", "last words")
    ear.outlet.end(end(1))
    ear.outlet.end(end(2))
    ear.outlet.send(Begun((3,)))
    first, *rest = ear.hear(4)
    assert first == Lines(((1, "log", "first"),))
    assert rest == [Lines(((2, "log", "last words"),)), Ended((end(1), end(2))), Begun((3,))]


def test_ends_are_on_the_wire_when_they_have_been_told(ear: Ear) -> None:
    ear.outlet.end(end(1))
    ear.outlet.tell_ends()
    ear.connection.setblocking(False)
    assert ear.hear(1) == [Ended((end(1),))]


def test_an_end_that_nobody_tells_travels_by_itself(ear: Ear) -> None:
    """As when the loop is blocked by the next handler."""
    ear.outlet.end(end(1))
    assert ear.hear(1) == [Ended((end(1),))]


def test_no_frame_carries_more_ends_than_fit(ear: Ear) -> None:
    for key in range(2 * ENDS_PER_FRAME_MAX + 1):
        ear.outlet.end(end(key))
    ear.outlet.tell_ends()
    heard = [each for each in ear.hear(3) if isinstance(each, Ended)]
    assert [len(each.ends) for each in heard] == [ENDS_PER_FRAME_MAX, ENDS_PER_FRAME_MAX, 1]
    assert [each.key for said in heard for each in said.ends] == list(range(2 * ENDS_PER_FRAME_MAX + 1))
