from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.domain.errors import Bug
from rota.domain.ids import RunId, TenantId
from rota.domain.run import RunError
from rota.domain.targets import HandedTarget, HttpTarget, SignedHttpTarget, TaskTarget
from rota.worker.protocol import (
    FRAME_BYTES_MAX,
    AttemptEnd,
    AttemptOrder,
    Begin,
    Begun,
    Ended,
    FromExecutor,
    Lines,
    Ready,
    TaskFacts,
    encode_frame,
    frames_from_executor,
    frames_to_executor,
)

MESSAGES: list[FromExecutor] = [
    Ready((TaskFacts("a", "async", 1.5), TaskFacts("b", "process"))),
    Begun((1, 2, 3)),
    Lines(((1, "stdout", "ü"), (2, "log", ""))),
    Ended(
        (
            AttemptEnd(1, "failed", None, RunError("m", "T", "tb", "auth", retryable=False, retry_after_seconds=2.0)),
            AttemptEnd(2, "succeeded", "{}"),
        )
    ),
]


@given(st.lists(st.integers(1, 40)))
def test_messages_survive_any_cutting_of_the_stream(cuts: list[int]) -> None:
    stream = b"".join(encode_frame(message) for message in MESSAGES)
    frames, seen = frames_from_executor(), list[FromExecutor]()
    for cut in cuts:
        seen += frames.feed(stream[:cut])
        stream = stream[cut:]
    assert [*seen, *frames.feed(stream)] == MESSAGES


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**308, 1e308, 5e-324])
def test_numbers_of_any_size_reach_the_handler(number: float) -> None:
    """A store keeps 1e20 as an integer of 21 digits; an order that could not be encoded would end the worker."""
    request = HttpTarget("https://x.example/", body=[number])
    signed = SignedHttpTarget(request, (b"\x00\xff",), datetime(2026, 3, 1, tzinfo=UTC))
    targets: tuple[HandedTarget, ...] = (TaskTarget("a", {"n": number}), request, signed)
    for target in targets:
        order = AttemptOrder(1, RunId("r"), TenantId("t"), 1, target, 60.0)
        (begin,) = frames_to_executor().feed(encode_frame(Begin((order,))))
        assert begin == Begin((order,))


def test_a_frame_beyond_the_bound_is_refused_on_both_sides() -> None:
    with pytest.raises(Bug, match="exceeds the frame bound"):
        encode_frame(Lines(((1, "stdout", "x" * (FRAME_BYTES_MAX + 1)),)))
    with pytest.raises(Bug, match="exceeds the bound"):
        list(frames_from_executor().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))
