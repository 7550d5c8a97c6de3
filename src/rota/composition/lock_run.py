"""Runs a command under a lock: it is renewed while the command runs, and nothing of the command runs without it.

The command is asked to end (SIGTERM) when renewals fail for long, and it and all its descendants are killed before the
lock's time ends; at once when the store says that it is lost. If this process is killed, so is the command. If this
process is stopped, nobody watches: then only the token keeps a late write out (docs/locks.md).
"""

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from msgspec import Struct

from rota.adapters.system_clock import SystemClock
from rota.adapters.system_ids import SystemIds
from rota.client.http import ApiClient, ApiError
from rota.client.locks import HeldLock, Wanted, acquire
from rota.composition.descendants import adopt_orphans, kill_descendants, signal_descendants
from rota.core.lock_trust import holder_step
from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem
from rota.ports.clock import Clock
from rota.worker.death_signal import die_with_parent

EXIT_HELD = 75
EXIT_LOST = 76
LOOK_SECONDS = 0.05
SIGNALS_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class LockRunOptions(Struct, frozen=True):
    """`wait_seconds` to wait for the lock, `ttl_seconds` that it lasts without a renewal."""

    name: str
    holder: str
    ttl_seconds: float
    wait_seconds: float


def run_under_lock(client: ApiClient, options: LockRunOptions, command: Sequence[str]) -> int:
    """The command's exit code (128 and the number of the signal that ended it), EXIT_HELD or EXIT_LOST."""
    clock = SystemClock()
    wanted = Wanted(options.name, options.holder, options.ttl_seconds, SystemIds().new_id())
    try:
        held = acquire(client, wanted, options.wait_seconds, clock)
    except ApiError as refused:
        if refused.code != "LOCK_HELD":
            raise
        _say(refused.detail)
        return EXIT_HELD
    code = _run(held, options.name, command, clock)
    held.stop()
    if code is None:
        _say(f"lock {options.name!r} was lost; the command was killed")
        return EXIT_LOST
    with suppress(ApiError):  # it ends by itself where the release does not arrive
        held.release()
    return code


def _run(held: HeldLock, name: str, command: Sequence[str], clock: Clock) -> int | None:
    """None where the lock was lost first."""
    adopt_orphans()
    environment = os.environ | {"ROTA_LOCK_NAME": name, "ROTA_LOCK_TOKEN": str(held.token)}
    try:
        # No thread runs yet, so that nothing can hold a lock in the child between fork and exec.
        child = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)  # noqa: PLW1509
    except OSError as failed:
        held.release()
        remedy = "name a program behind `--`"
        raise invalid_input([FieldProblem("COMMAND", f"{command[0]}: {failed.strerror}", remedy)]) from failed
    held.start()
    with _forwarding_signals(child):
        code = _watch(held, child, clock)
    kill_descendants()
    child.wait()
    return None if code is None else code if code >= 0 else 128 - code


def _watch(held: HeldLock, child: "subprocess.Popen[bytes]", clock: Clock) -> int | None:
    is_asked = False
    while True:
        step = holder_step(held.trust, clock.monotonic_seconds(), refused=held.refused)
        if step == "kill":
            return None
        if step == "stop" and not is_asked:
            is_asked = True
            signal_descendants(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(LOOK_SECONDS)
            return None if is_asked else code


@contextmanager
def _forwarding_signals(child: "subprocess.Popen[bytes]") -> Generator[None]:
    """What this process is sent is for the command. A terminal's Ctrl-C has reached it already."""

    def forward(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT or not sys.stdin.isatty():
            child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in SIGNALS_FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    sys.stderr.write(f"rota: {text}\n")
