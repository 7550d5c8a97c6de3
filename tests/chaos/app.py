"""The tasks of the chaos run. Each attempt leaves one line in its worker's file, and some fail before or after it.

What an attempt does follows from the run's id and its number alone, so that a repetition of the whole is not needed to
know what it should have done. The environment says where the lines go: `CHAOS_EFFECTS_DIR` and `CHAOS_WORKER`.
"""

import os
import threading
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from rota import App, Context
from rota.adapters.system_clock import SystemClock
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


def _finish(ctx: Context, trigger: str, temper: _Temper, started_us: int) -> dict[str, int]:
    if temper.fails_before:
        raise RuntimeError("fails before its work, as planned")
    fire_at = ctx.fire_at or _EPOCH
    effect = EffectFact(
        run_id=ctx.run_id,
        attempt_no=ctx.attempt_no,
        trigger=trigger,
        fire_at_us=(fire_at - _EPOCH) // timedelta(microseconds=1),
        started_us=started_us,
        finished_us=_now_us(),
        worker=os.environ["CHAOS_WORKER"],
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
