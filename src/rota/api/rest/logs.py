"""What a run wrote: its lines by page, or as they come until the run ends."""

import re
from typing import Annotated, Any

from msgspec import Meta, Struct

from rota.api.authz import Access
from rota.api.rest.endpoint import Answer, Call, Endpoint, Nothing, StreamAnswer, endpoint
from rota.api.rest.sse import Frame, Turn, stream
from rota.domain.errors import invalid_input
from rota.domain.ids import RunId
from rota.domain.problems import FieldProblem
from rota.domain.run import RUN_LIFECYCLE, LogLine, RunState

LINES_LIMIT_DEFAULT = 500
LINES_LIMIT_MAX = 1_000
STREAM_BATCH = 500
READ = Access("runs", "read")

_PLACE = re.compile(r"(?P<attempt_no>[0-9]{1,9})\.(?P<seq>[0-9]{1,9})")

LinePlace = Annotated[str, Meta(max_length=20, description="`next_cursor` of the page before.")]


class LogQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Lines behind `after`."""

    after: LinePlace | None = None
    limit: Annotated[int, Meta(ge=1, le=LINES_LIMIT_MAX, description="Lines on a page.")] = LINES_LIMIT_DEFAULT


class LogStreamQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Without Last-Event-ID and `after`, the stream begins with the first line."""

    after: LinePlace | None = None


class LogPage(Struct, frozen=True):
    """Lines in the order in which they were written; they are not counted."""

    items: tuple[LogLine, ...]
    limit: int
    has_more: bool
    next_cursor: str | None


class RunEnded(Struct, frozen=True):
    """The last frame of a stream of lines."""

    run_id: RunId
    state: RunState


def _place(text: str | None, field: str) -> tuple[int, int]:
    if not text:
        return 0, -1
    match = _PLACE.fullmatch(text)
    if match is None:
        problem = f"{text!r} is no place in a log"
        raise invalid_input([FieldProblem(field, problem, "pass back what was given, such as 1.20")])
    return int(match["attempt_no"]), int(match["seq"])


def _cursor(line: LogLine) -> str:
    return f"{line.attempt_no}.{line.seq}"


@endpoint("GET", "/runs/{run_id}/logs", READ, query=LogQuery, answers=(LogPage,))
async def list_log_lines(call: Call[Nothing, LogQuery]) -> Answer:
    """Read the lines that a run wrote."""
    run_id, reader, limit = RunId(call.path["run_id"]), call.services.ports.run_reader, call.query.limit
    await reader.get(call.tenant_id, run_id)
    lines = await reader.log_lines(call.tenant_id, run_id, _place(call.query.after, "after"), limit + 1)
    items, more = lines[:limit], len(lines) > limit
    return Answer(LogPage(items, limit, more, _cursor(items[-1]) if more else None))


@endpoint("GET", "/runs/{run_id}/logs/stream", READ, query=LogStreamQuery, content_type="text/event-stream")
async def stream_log_lines(call: Call[Nothing, LogStreamQuery]) -> StreamAnswer:
    """Follow the lines of a run until it ends; resumes behind Last-Event-ID."""
    run_id = RunId(call.path["run_id"])
    await call.services.ports.run_reader.get(call.tenant_id, run_id)
    given = ("Last-Event-ID", call.last_event_id) if call.last_event_id else ("after", call.query.after)
    follower = _Follower(call, run_id, _place(given[1], given[0]))
    return stream(call, follower.look)


class _Follower:
    """Reads on from one place. Lines may be stored a moment after the end of their run, so that the end is believed
    only at the second look.
    """

    def __init__(self, call: Call[Any, Any], run_id: RunId, place: tuple[int, int]) -> None:
        self._tenant_id = call.tenant_id
        self._reader = call.services.ports.run_reader
        self._run_id = run_id
        self._place = place
        self._seen_ended = False

    async def look(self) -> Turn:
        run = await self._reader.get(self._tenant_id, self._run_id)
        lines = await self._reader.log_lines(self._tenant_id, self._run_id, self._place, STREAM_BATCH)
        frames = tuple(Frame(line, id=_cursor(line), event="line") for line in lines)
        if lines:
            self._place = (lines[-1].attempt_no, lines[-1].seq)
        if len(lines) == STREAM_BATCH:
            return Turn(frames, again=True)
        ended = run.state in RUN_LIFECYCLE.terminal
        if ended and self._seen_ended:
            return Turn((*frames, Frame(RunEnded(run.id, run.state), event="end")), ended=True)
        self._seen_ended = ended
        return Turn(frames)


ENDPOINTS: tuple[Endpoint, ...] = (list_log_lines, stream_log_lines)
