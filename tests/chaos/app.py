"""The tasks of the chaos run. Each attempt leaves one line in its worker's file, and some fail before or after it.

What an attempt does follows from the run's id and its number alone, so that a repetition of the whole is not needed to
know what it should have done. The environment says where the lines go: `CHAOS_EFFECTS_DIR` and `CHAOS_WORKER`.
"""

import os
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from rota import App, Context, NonRetryable
from rota.adapters.system_clock import SystemClock
from rota.domain.milestone import MilestoneOrder
from tests.chaos.facts import EffectFact

app = App()

_clock = SystemClock()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Temper(msgspec.Struct, frozen=True):
    seconds: float
    fails_before: bool
    fails_after: bool


@app.task(name="chaos.loop")
async def work_on_the_loop(ctx: Context, trigger: str) -> dict[str, int]:
    temper, started_us = _temper(ctx), _now_us()
    await ctx.sleep(temper.seconds)
    return _finish(ctx, trigger, temper, started_us)


@app.task(name="chaos.thread")
def work_in_a_thread(ctx: Context, trigger: str) -> dict[str, int]:
    temper, started_us = _temper(ctx), _now_us()
    threading.Event().wait(temper.seconds)
    return _finish(ctx, trigger, temper, started_us)


@app.task(name="chaos.milestone")
async def make_a_milestone(ctx: Context, milestone: MilestoneOrder) -> dict[str, object]:
    """Its subject says how many of its attempts fail: odd ones before the work, even ones after it."""
    temper, started_us = _temper(ctx), _now_us()
    await ctx.sleep(temper.seconds)
    fails = milestone.attempt <= int(milestone.subject.rpartition("-")[2])
    planned = _Temper(temper.seconds, fails and milestone.attempt % 2 == 1, fails and milestone.attempt % 2 == 0)
    label = f"{milestone.name}/{milestone.subject}"
    return {**_finish(ctx, label, planned, started_us, milestone.due_at), "run": ctx.run_id}


@app.task(name="chaos.narrow")
async def work_where_few_may(ctx: Context, trigger: str) -> dict[str, int]:
    temper, started_us = _temper(ctx), _now_us()
    await ctx.sleep(0.2 + 10 * min(temper.seconds, 0.04))
    return _finish(ctx, trigger, temper, started_us)


@app.task(name="chaos.node")
async def work_at_a_node(ctx: Context, trigger: str, *, fails: bool) -> dict[str, int]:
    """Where it is to fail, it fails for good when its work is done."""
    temper, started_us = _temper(ctx), _now_us()
    await ctx.sleep(temper.seconds)
    done = _finish(ctx, trigger, temper, started_us)
    if fails:
        raise NonRetryable("fails for good, as planned")
    return done


@app.task(name="chaos.items")
async def find_items(ctx: Context, trigger: str, count: int) -> AsyncIterator[int]:
    return _items(ctx, trigger, count)


async def _items(ctx: Context, trigger: str, count: int) -> AsyncIterator[int]:
    """Each twice and in no order, half of them before it rests, so that what kills it meets half a plan."""
    temper, started_us = _temper(ctx), _now_us()
    found = sorted([*range(count), *range(count)], key=lambda item: blake2b(f"{ctx.run_id} {item}".encode()).digest())
    for item in found[:count]:
        yield item
    await ctx.sleep(temper.seconds)
    for item in found[count:]:
        yield item
    _finish(ctx, trigger, temper, started_us)


@app.task(name="chaos.segment")
async def work_on_a_segment(ctx: Context, trigger: str, items: list[int]) -> dict[str, int]:
    temper, started_us = _temper(ctx), _now_us()
    await ctx.sleep(temper.seconds)
    return _finish(ctx, trigger, temper, started_us, items=tuple(items))


def _temper(ctx: Context) -> _Temper:
    """Most are short, one in ten is not, one in forty outlasts a lease; one in twenty-five fails.

    Of the repetitions one in four is that long: a stale end of the attempt before comes while it works.
    """
    dice = blake2b(f"{ctx.run_id} {ctx.attempt_no}".encode(), digest_size=6).digest()
    share, luck = dice[1] / 256, dice[2]
    short, medium = (230, 250) if ctx.attempt_no == 1 else (180, 192)
    if dice[0] < short:
        seconds = 0.02 * share
    elif dice[0] < medium:
        seconds = 0.2 + 0.8 * share
    else:
        seconds = 2 + 4 * share
    return _Temper(seconds, luck < 5, 5 <= luck < 10)


def _finish(
    ctx: Context,
    trigger: str,
    temper: _Temper,
    started_us: int,
    due_at: datetime | None = None,
    items: tuple[int, ...] = (),
) -> dict[str, int]:
    if temper.fails_before:
        raise RuntimeError("fails before its work, as planned")
    fire_at = due_at or ctx.fire_at or _EPOCH
    effect = EffectFact(
        run_id=ctx.run_id,
        attempt_no=ctx.attempt_no,
        trigger=trigger,
        fire_at_us=(fire_at - _EPOCH) // timedelta(microseconds=1),
        started_us=started_us,
        finished_us=_now_us(),
        worker=os.environ["CHAOS_WORKER"],
        items=items,
    )
    # One write of a short line is never torn, however many processes append and whenever they die.
    os.write(_file(), msgspec.json.encode(effect) + b"\n")
    if temper.fails_after:
        raise RuntimeError("fails after its work, as planned")
    return {"attempt": ctx.attempt_no}


@cache
def _file() -> int:
    path = Path(os.environ["CHAOS_EFFECTS_DIR"]) / f"{os.environ['CHAOS_WORKER']}.jsonl"
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _now_us() -> int:
    return _clock.wall_ns() // 1000
