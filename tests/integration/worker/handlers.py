"""The tasks that the worker's tests run, good and bad. State is told to the test through files in `marks`."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from rota import App, Cancel, Context, Failure, NonRetryable, Retry, SoftTimeout

app = App("handlers")


def mark(directory: str, name: str, text: str = "") -> None:
    """Appended in one write, so that the test sees whole lines."""
    with Path(directory, name).open("a") as file:
        file.write(f"{text or os.getpid()}\n")


@app.task(name="noop")
async def noop() -> None:
    return None


@app.task(name="noop_thread")
def noop_thread() -> None:
    return None


@app.task(name="echo")
async def echo(ctx: Context, value: object) -> dict[str, object]:
    return {"value": value, "attempt_no": ctx.attempt_no, "tenant": ctx.tenant_id}


@app.task(name="talk")
def talk(ctx: Context) -> None:
    print("printed")
    print("to stderr", file=sys.stderr)
    ctx.log.info("logged %d", 7)
    print("unfinished", end="")


@app.task(name="flood")
def flood(lines: int) -> int:
    for number in range(lines):
        print(f"line {number}")
    return lines


@app.task(name="hang_async")
async def hang_async(marks: str) -> None:
    mark(marks, "began")
    await asyncio.Event().wait()


@app.task(name="hang_thread")
def hang_thread(ctx: Context, marks: str) -> None:
    """Polite: it looks at its flag."""
    mark(marks, "began")
    ctx.cancelled.wait()
    ctx.check_cancelled()


@app.task(name="ignore_cancellation")
def ignore_cancellation(marks: str) -> None:
    mark(marks, "began")
    threading.Event().wait()


@app.task(name="ignore_cancellation_async")
async def ignore_cancellation_async(marks: str) -> None:
    mark(marks, "began")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            mark(marks, "ignored")


@app.task(name="block_loop")
async def block_loop(marks: str, seconds: float) -> str:
    mark(marks, "began")
    threading.Event().wait(seconds)
    return "unblocked"


@app.task(name="hold_gil")
def hold_gil(marks: str, size: int) -> int:
    """One call into C that never lets go of the interpreter."""
    mark(marks, "began")
    return sum(range(size))


@app.task(name="exit_process")
def exit_process(marks: str) -> None:
    mark(marks, "began")
    os._exit(3)


@app.task(name="until_told")
async def until_told(ctx: Context, marks: str) -> None:
    mark(marks, "innocent_began")
    while not Path(marks, "told").exists():
        await ctx.sleep(0.05)


@app.task(name="kill_self_once")
def kill_self_once(ctx: Context, marks: str) -> int:
    mark(marks, "began")
    if ctx.attempt_no == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ctx.attempt_no


@app.task(name="fork")
async def fork(marks: str) -> str:
    """The child goes on with the handler, and returns from it: it must not speak for its parent."""
    child = os.fork()
    if child == 0:
        return "child"
    await asyncio.to_thread(os.waitpid, child, 0)
    mark(marks, "parent")
    return "parent"


@app.task(name="unstorable")
async def unstorable() -> object:
    return object()


@app.task(name="huge")
async def huge() -> str:
    return "x" * 300_000


@app.task(name="refuse")
async def refuse() -> Failure:
    return Failure("returned", retryable=False)


@app.task(name="raise_non_retryable")
async def raise_non_retryable() -> None:
    raise NonRetryable("thrown")


@app.task(name="retry_once")
async def retry_once(ctx: Context) -> int:
    if ctx.attempt_no == 1:
        raise Retry("again, please", delay_seconds=0.0)
    return ctx.attempt_no


@app.task(name="give_up")
async def give_up() -> None:
    raise Cancel("not wanted")


@app.task(name="soft", timeout_seconds=30)
def soft(ctx: Context) -> str:
    return "flag seen" if ctx.soft_timed_out.wait(20) else "never told"


@app.task(name="own_process", process=True)
def own_process(marks: str, *, hang: bool = False) -> int:
    mark(marks, "began")
    if hang:
        threading.Event().wait()
    return os.getpid()


@app.task(name="system_exit")
def system_exit() -> None:
    sys.exit("the handler wants out")


@app.task(name="environment")
async def environment() -> list[str]:
    return sorted(os.environ)


@app.task(name="starts_child")
def starts_child(marks: str) -> None:
    """A handler in a thread that waits for a command of its own."""
    with subprocess.Popen(["sleep", "1000"]) as child:
        mark(marks, "child", str(child.pid))


@app.task(name="last_words")
def last_words() -> None:
    print("about to crash")
    os._exit(9)


@app.task(name="soft_raised", soft_timeout_seconds=0.3, soft_timeout_error=SoftTimeout)
async def soft_raised(ctx: Context, *, catches: bool = True) -> str:
    """Waits for something that is itself waiting, and may finish in its own time."""
    try:
        await asyncio.gather(ctx.sleep(30), ctx.sleep(30))
    except SoftTimeout:
        if not catches:
            raise
        await ctx.sleep(0.05)
        return "saved what there was"
    return "never told"


@app.task(name="soft_raised_in_thread", soft_timeout_seconds=0.3, soft_timeout_error=SoftTimeout)
def soft_raised_in_thread(*, catches: bool = True) -> str:
    steps = 0
    try:
        while steps < 3_000:
            threading.Event().wait(0.01)
            steps += 1
    except SoftTimeout:
        if not catches:
            raise
        return "saved what there was"
    return "never told"


@app.task(
    name="soft_raised_in_process",
    timeout_seconds=20,
    soft_timeout_seconds=0.3,
    soft_timeout_error=SoftTimeout,
    process=True,
)
def soft_raised_in_process(*, catches: bool = True) -> str:
    return soft_raised_in_thread(catches=catches)
