"""The words between the supervisor and its executors: frames of four bytes of length and one message in JSON.

JSON, because arguments are: what a store keeps as JSON (integers of any size, say) must reach the handler, whatever it
is. A message that could not be encoded would cost the whole worker.

Attempts are named by `key`, a number that the session gives out once: a run that timed out here can be claimed here
again while the first handler still lives, so neither run id nor token would be unique.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from rota.domain.errors import Bug
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.policies import RetryPolicy
from rota.domain.problems import FieldProblem
from rota.domain.run import AttemptOutcome, RunError
from rota.domain.targets import HandedTarget

FRAME_BYTES_MAX = 64 * 1024 * 1024
# Arguments and results have at most 256 KiB each, so that a frame of so many keeps well below the bound.
ORDERS_PER_FRAME_MAX = 64
ENDS_PER_FRAME_MAX = 64
_LENGTH_BYTES = 4

StopReason: TypeAlias = Literal["cancelled", "timed_out", "soft_timed_out"]
TaskKind: TypeAlias = Literal["async", "thread", "process"]


class TaskFacts(Struct, frozen=True):
    """What the supervisor must know about a task without importing it."""

    name: str
    kind: TaskKind
    timeout_seconds: float | None = None
    retry: RetryPolicy | None = None
    soft_timeout_seconds: float | None = None


class AttemptOrder(Struct, frozen=True, array_like=True):
    """One attempt to begin now."""

    key: int
    run_id: RunId
    tenant_id: TenantId
    attempt_no: int
    target: HandedTarget
    timeout_seconds: float
    schedule_id: ScheduleId | None = None
    fire_at: datetime | None = None


class Hello(Struct, frozen=True, tag="hello"):
    """The first word to an executor: what to load and what to allow."""

    app: str | None
    samples: bool
    allow_exec: bool
    allow_exec_for: tuple[str, ...]
    allow_targets: tuple[str, ...]
    threads: int
    log_lines_max: int
    log_bytes_max: int
    stop_grace_seconds: float


class Begin(Struct, frozen=True, tag="begin"):
    """Begin these attempts, in this order."""

    orders: tuple[AttemptOrder, ...]


class Stop(Struct, frozen=True, tag="stop"):
    """Ask one attempt to end. A soft time-out only raises the handler's flag."""

    key: int
    reason: StopReason


class Withdraw(Struct, frozen=True, tag="withdraw"):
    """Take back what was not begun; the answer names what was."""

    keys: tuple[int, ...]


class ItemsKept(Struct, frozen=True, tag="items_kept"):
    """The store has the items that were found last, or says why it has not."""

    key: int
    problem: str | None = None


ToExecutor: TypeAlias = Hello | Begin | Stop | Withdraw | ItemsKept


class Ready(Struct, frozen=True, tag="ready"):
    """The executor has loaded its tasks and takes attempts."""

    tasks: tuple[TaskFacts, ...]


class LoadFailed(Struct, frozen=True, tag="load_failed"):
    """The user's module could not be loaded. `traceback` is for the operator's log."""

    problem: FieldProblem
    traceback: str = ""


class Begun(Struct, frozen=True, tag="begun"):
    """On the wire before the handler's first instruction: an attempt without it was provably never begun."""

    keys: tuple[int, ...]


class Withdrawn(Struct, frozen=True, tag="withdrawn"):
    """These were not begun, and never will be here."""

    keys: tuple[int, ...]


class Lines(Struct, frozen=True, tag="lines"):
    """Output in order: (attempt key, stream, text)."""

    lines: tuple[tuple[int, str, str], ...]


class AttemptEnd(Struct, frozen=True, array_like=True):
    """How a handler has ended."""

    key: int
    outcome: AttemptOutcome
    result_json: str | None = None
    error: RunError | None = None


class Ended(Struct, frozen=True, tag="ended"):
    """Said exactly once for every attempt that has begun."""

    ends: tuple[AttemptEnd, ...]


class GroupStarted(Struct, frozen=True, tag="group_started"):
    """A process group that must not outlive its executor."""

    group_id: int


class GroupEnded(Struct, frozen=True, tag="group_ended"):
    """The process group has ended by itself."""

    group_id: int


class ItemsFound(Struct, frozen=True, tag="items_found"):
    """Canonical items of a fan-out that is being planned; answered by `ItemsKept` before the next ones are sent."""

    key: int
    items: tuple[str, ...]
    is_last: bool


FromExecutor: TypeAlias = (
    Ready | LoadFailed | Begun | Withdrawn | Lines | Ended | GroupStarted | GroupEnded | ItemsFound
)

Message = TypeVar("Message")

_ENCODER = msgspec.json.Encoder()


def encode_frame(message: ToExecutor | FromExecutor) -> bytes:
    body = _ENCODER.encode(message)
    if len(body) > FRAME_BYTES_MAX:
        raise Bug(f"a {type(message).__name__} of {len(body)} bytes exceeds the frame bound of {FRAME_BYTES_MAX}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader(Generic[Message]):
    """Cuts a byte stream into messages. Holds the unfinished rest; a frame beyond the bound is refused."""

    def __init__(self, decoder: "msgspec.json.Decoder[Message]") -> None:
        self._decoder = decoder
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        self._rest += data
        begin = 0
        while len(self._rest) - begin >= _LENGTH_BYTES:
            body = begin + _LENGTH_BYTES
            length = int.from_bytes(self._rest[begin:body], "big")
            if length > FRAME_BYTES_MAX:
                raise Bug(f"a frame of {length} bytes exceeds the bound of {FRAME_BYTES_MAX}")
            if len(self._rest) - body < length:
                break
            begin = body + length
            yield self._decoder.decode(memoryview(self._rest)[body:begin].tobytes())
        del self._rest[:begin]


def frames_to_executor() -> FrameReader[ToExecutor]:
    return FrameReader(msgspec.json.Decoder(ToExecutor))


def frames_from_executor() -> FrameReader[FromExecutor]:
    return FrameReader(msgspec.json.Decoder(FromExecutor))
