"""Running one command as cron would: a small environment, the home directory, a process group of its own.

Output goes line by line to the attempt's log. Being cancelled ends the whole group: SIGTERM, and SIGKILL after a grace.
A command that ends leaves its background children alone, as cron does. The supervisor is told of the group, so that
none outlives an executor that was killed.
"""

import asyncio
import contextlib
import os
import pwd
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from rota.worker.context import AttemptLink
from rota.worker.death_signal import die_with_parent
from rota.worker.outcomes import Failure, NonRetryable

PATH = "/usr/bin:/bin"
LINE_BYTES_MAX = 8_000
# How long to go on reading from background children that hold the pipe when the command itself has ended.
LEFTOVER_SECONDS = 1.0


class CommandOrder(Struct, frozen=True):
    """`command` as text goes to the shell, as a list it is started as it stands."""

    command: str | list[str]
    shell: str = "/bin/sh"
    cwd: str | None = None
    env: dict[str, str] = {}
    stdin: str = ""
    user: str | None = None


async def run_command(order: CommandOrder, link: AttemptLink, stop_grace_seconds: float) -> dict[str, Any] | Failure:
    """`{"exit_code": 0}`, or the failure. Raises `NonRetryable` for what no retry can mend."""
    account = _account(order.user)
    outputs = {stream: await _Output.open() for stream in ("stdout", "stderr")}
    try:
        try:
            process = await _start(order, account, outputs)
        finally:
            for output in outputs.values():
                os.close(output.write_end)
        return await _attended(process, order, outputs, _Attendance(link, stop_grace_seconds))
    finally:
        for output in outputs.values():
            output.transport.close()


class _Attendance(Struct, frozen=True):
    """Who hears of the command, and how long it has to end when it is told to."""

    link: AttemptLink
    stop_grace_seconds: float


async def _attended(
    process: Process, order: CommandOrder, outputs: "Mapping[str, _Output]", attendance: _Attendance
) -> dict[str, Any] | Failure:
    link = attendance.link
    link.group_started(process.pid)
    try:
        await _finish(process, order, outputs, link)
    except asyncio.CancelledError:
        await _end_group(process, attendance.stop_grace_seconds)
        raise
    finally:
        link.group_ended(process.pid)
    return _judged(process.returncode)


def _account(user: str | None) -> pwd.struct_passwd:
    """Whose home and name the command gets. Becoming somebody else takes root."""
    if user is None:
        return pwd.getpwuid(os.geteuid())
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise NonRetryable(f"user: this machine has no user {user!r}; name one that it has") from None
    if account.pw_uid != os.geteuid() and os.geteuid() != 0:
        raise NonRetryable(f"user: only a worker that runs as root can run a command as {user!r}")
    return account


def _environment(order: CommandOrder, account: pwd.struct_passwd) -> dict[str, str]:
    """Cron's, and what the run adds. MAILTO is cron's own affair."""
    cron = {
        "SHELL": order.shell,
        "PATH": PATH,
        "HOME": account.pw_dir,
        "LOGNAME": account.pw_name,
        "USER": account.pw_name,
    }
    return {**cron, **{name: text for name, text in order.env.items() if name != "MAILTO"}}


class _Output(Struct):
    """A pipe of ours: asyncio's own would make the command's end wait for every child that holds it open."""

    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport
    write_end: int

    @classmethod
    async def open(cls) -> "_Output":
        read_end, write_end = os.pipe()
        reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
        )
        return cls(reader, transport, write_end)


async def _start(order: CommandOrder, account: pwd.struct_passwd, outputs: Mapping[str, _Output]) -> Process:
    arguments = [order.shell, "-c", order.command] if isinstance(order.command, str) else order.command
    if not arguments or not arguments[0]:
        raise NonRetryable("command: it is empty; give the text of a command or a list of a program and its arguments")
    try:
        return await asyncio.create_subprocess_exec(
            *arguments,
            stdin=PIPE if order.stdin else DEVNULL,
            stdout=outputs["stdout"].write_end,
            stderr=outputs["stderr"].write_end,
            cwd=order.cwd or account.pw_dir,
            env=_environment(order, account),
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
            **_identity(account),
        )
    except (OSError, ValueError) as failed:
        raise NonRetryable(f"the command cannot be started: {failed}") from failed


def _identity(account: pwd.struct_passwd) -> dict[str, Any]:
    if account.pw_uid == os.geteuid():
        return {}
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}


async def _finish(process: Process, order: CommandOrder, outputs: Mapping[str, _Output], link: AttemptLink) -> None:
    readers = [asyncio.create_task(_read_lines(output.reader, stream, link)) for stream, output in outputs.items()]
    try:
        await _feed(process, order.stdin)
        await process.wait()
        await asyncio.wait(readers, timeout=LEFTOVER_SECONDS)
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)


async def _feed(process: Process, text: str) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(text.encode())
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # a command need not read what it is given
    finally:
        process.stdin.close()


async def _read_lines(reader: asyncio.StreamReader, stream: str, link: AttemptLink) -> None:
    while line := await _next_line(reader):
        link.line(stream, line.decode("utf-8", "replace").rstrip("\n"))


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    """A line, the unfinished last one, a piece of one that is too long, or nothing at the end."""
    try:
        return await reader.readuntil()
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as long:
        return await reader.readexactly(long.consumed)


async def _end_group(process: Process, grace_seconds: float) -> None:
    """Returns once the leader is gone; what is left of the group is killed with it."""
    _signal_group(process.pid, signal.SIGTERM)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_seconds)
    finally:
        _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(group_id: int, number: signal.Signals) -> None:
    try:
        os.killpg(group_id, number)
    except (ProcessLookupError, PermissionError):
        return


def _judged(exit_code: int | None) -> dict[str, Any] | Failure:
    if exit_code == 0:
        return {"exit_code": 0}
    if exit_code is not None and exit_code < 0:
        return Failure(f"the command was ended by {_signal_name(-exit_code)}")
    return Failure(f"the command ended with exit code {exit_code}")


def _signal_name(number: int) -> str:
    known: Sequence[signal.Signals] = tuple(signal.Signals)
    return next((each.name for each in known if each == number), f"signal {number}")
