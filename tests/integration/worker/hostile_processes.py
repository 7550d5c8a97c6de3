"""Handlers that turn on their process, on what it has open, and on the processes around it. Each does so once."""

import asyncio
import contextlib
import ctypes
import faulthandler
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from rota import Context
from rota.worker.protocol import AttemptEnd, Ended, encode_frame
from tests.integration.worker.handlers import mark
from tests.integration.worker.hostile import hostile_app

app = hostile_app("hostile_processes")

MEGABYTE = 1 << 20
forever = threading.Event().wait


def _recurse() -> None:
    """Until the stack of the machine ends, not that of the interpreter."""
    sys.setrecursionlimit(1 << 30)
    nested: list[object] = []
    for _ in range(200_000):
        nested = [nested]
    repr(nested)


def _abort() -> None:
    os.abort()


def _read_nothing() -> None:
    ctypes.string_at(0)


def _kill_group() -> None:
    os.killpg(0, signal.SIGKILL)


def _ring_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    forever()


def _use_up_the_processor() -> None:
    """Beyond a limit of its own making."""
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass


def _exit_from_a_thread() -> None:
    threading.Thread(target=os._exit, args=(0,)).start()
    forever()


def _close_all() -> None:
    """As a program does that makes itself a daemon."""
    os.closerange(0, 4_096)


def _talk_nonsense() -> None:
    """Into the pipe that leads to the supervisor."""
    for number in _sockets():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as pipe:
            pipe.send(b"\xff" * 100_000)


def _hang_up() -> None:
    for number in _sockets():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as pipe:
            pipe.shutdown(socket.SHUT_RDWR)


def _sockets() -> list[int]:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [int(link.name) for link in links if str(link.readlink()).startswith("socket:")]


DEATHS: dict[str, Callable[[], None]] = {
    attack.__name__.removeprefix("_"): attack
    for attack in (
        _recurse,
        _abort,
        _read_nothing,
        _kill_group,
        _ring_alarm,
        _use_up_the_processor,
        _exit_from_a_thread,
        _close_all,
        _talk_nonsense,
        _hang_up,
    )
}


@app.task(name="forge")
def forge(key: int) -> None:
    """Tells the supervisor of an end that no store can keep, in the name of an attempt."""
    forged = encode_frame(Ended((AttemptEnd(key, "succeeded", "{this is no JSON"),)))
    for number in _sockets():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as pipe:
            pipe.sendall(forged)


@app.task(name="die_in_thread")
def die_in_thread(ctx: Context, kind: str) -> int:
    """At its first attempt."""
    faulthandler.disable()
    if ctx.attempt_no == 1:
        DEATHS[kind]()
    return ctx.attempt_no


@app.task(name="die_on_loop")
async def die_on_loop(ctx: Context, kind: str) -> int:
    faulthandler.disable()
    if ctx.attempt_no == 1:
        DEATHS[kind]()
    await ctx.sleep(0.01)
    return ctx.attempt_no


@app.task(name="fill_memory")
def fill_memory() -> int:
    """Under a limit, so that the machine is spared."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 256 * MEGABYTE, limits[1]))
    hoard: list[bytearray] = []
    try:
        while True:
            hoard.append(bytearray(MEGABYTE))
    finally:
        hoard.clear()
        resource.setrlimit(resource.RLIMIT_AS, limits)


@app.task(name="open_too_much")
def open_too_much() -> None:
    """And keeps it open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4_096))
    while True:
        os.dup(0)


@app.task(name="fork_and_write_on")
def fork_and_write_on(marks: str) -> str:
    """The child goes on, with its output and with its share of the work, while the parent ends."""
    if os.fork() == 0:
        mark(marks, "child")
        print("said by the child")
        while True:
            mark(marks, "written")
            signal.sigtimedwait([], 0.02)
    return "parent"


@app.task(name="fork_and_return_on_loop")
async def fork_and_return_on_loop(ctx: Context, marks: str, how: str) -> str:
    """The child goes on with the event loop that it shares with its parent, waiting for what was begun before."""
    waiting = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.2, waiting.set_result, None)
    if os.fork() == 0:
        mark(marks, "child")
        if how == "raise":
            raise SystemExit(3)
    await waiting
    return "parent"


@app.task(name="leave_threads")
def leave_threads(marks: str) -> str:
    """Some that hold the process back, and some that do not."""

    def talk() -> None:
        while True:
            forever(0.01)
            mark(marks, "talked")

    for number in range(10):
        threading.Thread(target=talk, daemon=number % 2 == 0).start()
    return "left"


@app.task(name="leave_processes")
def leave_processes(marks: str) -> str:
    """In its own group, deaf to all that can be ignored; none of them is waited for."""
    script = f"trap '' TERM HUP INT; sleep 1000 & echo $! >> {marks}/left; wait"
    os.posix_spawn("/bin/sh", ["sh", "-c", script], {"PATH": "/usr/bin:/bin"})
    subprocess.check_call(f"sleep 1000 & echo $! >> {marks}/left", shell=True)
    return "left"


@app.task(name="let_go")
def let_go(marks: str) -> str:
    """A process in a session of its own, with whatever it may inherit."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True, close_fds=False) as child:
        mark(marks, "let_go", str(child.pid))
        child.returncode = 0  # it is not waited for
    return "left"


@app.task(name="fan_out")
def fan_out() -> int:
    """Forks with all the threads of its process around it, as many libraries do."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(_shout, range(20)))


def _shout(number: int) -> int:
    print("from a child", number)
    return number


@app.task(name="inherited")
def inherited() -> list[str]:
    """What a command sees that is started without care."""
    read, write = os.pipe()
    if os.posix_spawn("/bin/ls", ["ls", "-l", "/proc/self/fd"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)]):
        os.close(write)
    with os.fdopen(read) as listing:
        return [line.split()[-1] for line in listing if "socket:" in line]


@app.task(name="stop_from_thread")
def stop_from_thread() -> str:
    """The signal meets another thread first, so that this one may still end: what is frozen then seems to be idle."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return "stopped"


@app.task(name="stop_from_loop")
async def stop_from_loop(marks: str) -> None:
    mark(marks, "stopping")
    os.kill(os.getpid(), signal.SIGSTOP)


@app.task(name="end_late")
def end_late(ctx: Context, marks: str) -> str:
    """The first attempt ends when it is long over, while the second runs, which waits for that."""
    mark(marks, "begun")
    own, other = ("late", "begun") if ctx.attempt_no == 1 else ("fresh", "late")
    while not Path(marks, other).exists() or Path(marks, other).read_text().count("\n") < (ctx.attempt_no == 1) + 1:
        forever(0.01)
    mark(marks, own)
    return own


@app.task(name="hold_interpreter")
async def hold_interpreter(marks: str) -> None:
    """In one call into C that does not end within a test."""
    mark(marks, "holding")
    sum(range(1 << 40))


@app.task(name="block_signals")
async def block_signals(marks: str) -> None:
    """Hears no signal that can be kept from a process, and no wish to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    mark(marks, "blocking")
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.Event().wait()


@app.task(name="kill_parent_once")
def kill_parent_once(ctx: Context, marks: str) -> int:
    """Only where the parent is a worker of the tests' own making."""
    mark(marks, "tried")
    parent = psutil.Process(os.getppid())
    if ctx.attempt_no == 1 and "worker_main" in " ".join(parent.cmdline()):
        parent.kill()
        forever()
    return ctx.attempt_no
