"""Handlers that change what all handlers of a process share, or say more than anybody can read."""

import gc
import locale
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from rota import Context
from tests.integration.worker.handlers import mark
from tests.integration.worker.hostile import hostile_app

app = hostile_app("hostile_state")

LONG_LINE_BYTES = 100_000_000


def leave_directory() -> None:
    """The one where it is, is removed under it."""
    here = tempfile.mkdtemp()
    os.chdir(here)
    Path(here).rmdir()


def forbid_files() -> None:
    os.umask(0o777)


def speak_otherwise() -> None:
    locale.setlocale(locale.LC_ALL, "C")


def forget_environment() -> None:
    os.environ.clear()
    sys.path.clear()


def be_humble() -> None:
    os.nice(19)


def replace_signals() -> None:
    """All that can be replaced, those of the interpreter and of its children included."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number < signal.SIGRTMIN:
            signal.signal(number, signal.SIG_IGN)


def replace_streams() -> None:
    sys.stdout.close()
    sys.stderr.close()
    sys.stdout = sys.stderr = None


def never_switch() -> None:
    sys.setswitchinterval(1000.0)
    gc.disable()
    gc.freeze()


def deafen_threads() -> None:
    threading.excepthook = lambda _: os._exit(67)
    threading.stack_size(32_768)


ATTACKS: dict[str, Callable[[], None]] = {
    attack.__name__: attack
    for attack in (
        leave_directory,
        forbid_files,
        speak_otherwise,
        forget_environment,
        be_humble,
        replace_signals,
        replace_streams,
        never_switch,
        deafen_threads,
    )
}


@app.task(name="spoil")
async def spoil(kind: str) -> str:
    ATTACKS[kind]()
    return "spoilt"


@app.task(name="lead_a_session")
def lead_a_session() -> None:
    os.setsid()


@app.task(name="shout")
def shout(marks: str, lines: int) -> int:
    for number in range(lines):
        print(f"line {number}")
        if number == lines // 10:
            mark(marks, "shouting")
    return lines


@app.task(name="one_line")
def one_line(ctx: Context) -> None:
    """In one piece, by bytes, and by logging."""
    line = "x" * LONG_LINE_BYTES
    print(line)
    sys.stdout.buffer.write(line.encode())
    ctx.log.info(line)


@app.task(name="binary")
def binary() -> None:
    sys.stdout.buffer.write(bytes(range(256)) * 4)
    sys.stdout.flush()
    sys.stdout.buffer.write("\nü€".encode()[:-1])
    sys.stderr.buffer.write(b"\xff\xfe\n")
    print("\udcff\0", file=sys.stderr)
