"""The supervisor's hold on one executor process: starting it, talking to it, killing it, knowing that it is gone.

`gone` is reported after the last message that the process managed to send, and after it has been reaped: nothing of it
runs any more then. What it had started, commands and children of handlers, is killed with it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from typing import TypeAlias

from rota.worker.protocol import (
    FromExecutor,
    GroupEnded,
    GroupStarted,
    Hello,
    ToExecutor,
    Withdraw,
    encode_frame,
    frames_from_executor,
)
from rota.worker.warden_link import WardenLink

OnMessage: TypeAlias = Callable[[int, FromExecutor], None]

# How long to wait for the end of the pipe after the process has ended: a stray child may hold it open.
LAST_WORDS_SECONDS = 0.5
ADDRESS_PREFIX = "ROTA_DATABASE_"


class ExecutorProcess:
    """`number` is the session's name for it."""

    def __init__(self, number: int, process: Process, warden: WardenLink) -> None:
        self.number = number
        self._process = process
        self._warden = warden
        self._transport: asyncio.WriteTransport | None = None
        self._groups: set[int] = set()
        self._pipe_ended = asyncio.Event()

    @classmethod
    async def launch(cls, number: int, hello: Hello, warden: WardenLink, on_message: OnMessage) -> "ExecutorProcess":
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rota.worker.executor",
                str(theirs.fileno()),
                stdin=DEVNULL,
                env=_environment(),
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        warden.watch("p", process.pid)
        warden.watch("g", process.pid)
        executor = cls(number, process, warden)
        await executor._connect(ours, on_message)
        executor.send(hello)
        return executor

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: ToExecutor) -> None:
        """What a dying process does not read is nobody's loss: its attempts are accounted for when it is gone."""
        if isinstance(message, Withdraw):
            self._wake()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode_frame(message))

    def kill(self) -> None:
        """It leads a group, so that what its handlers have started goes with it."""
        if self._process.returncode is None:
            _kill_group(self._process.pid)

    def _wake(self) -> None:
        """It does not begin what it was told to: perhaps a handler has stopped it (SIGSTOP). Harmless if not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)

    async def wait_gone(self) -> str:
        """How it ended, in words."""
        exit_code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pipe_ended.wait(), LAST_WORDS_SECONDS)
        self._warden.forget("p", self._process.pid)
        for group in (self._process.pid, *self._groups):
            _kill_group(group)
            self._warden.forget("g", group)
        if self._transport is not None:
            self._transport.close()
        return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"

    async def _connect(self, ours: socket.socket, on_message: OnMessage) -> None:
        loop = asyncio.get_running_loop()
        ours.setblocking(False)
        transport, _ = await loop.create_unix_connection(
            lambda: _Pipe(self._pipe_ended, self._heard(on_message)), sock=ours
        )
        self._transport = transport

    def _heard(self, on_message: OnMessage) -> Callable[[FromExecutor], None]:
        def hear(message: FromExecutor) -> None:
            if isinstance(message, GroupStarted):
                self._groups.add(message.group_id)
                self._warden.watch("g", message.group_id)
            elif isinstance(message, GroupEnded):
                self._groups.discard(message.group_id)
                self._warden.forget("g", message.group_id)
            else:
                on_message(self.number, message)

        return hear


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Ours without the addresses of databases: handlers have no business there."""
    return {name: text for name, text in os.environ.items() if not name.startswith(ADDRESS_PREFIX)}


class _Pipe(asyncio.Protocol):
    """Bytes to messages, in order."""

    def __init__(self, ended: asyncio.Event, hear: Callable[[FromExecutor], None]) -> None:
        self._frames = frames_from_executor()
        self._ended = ended
        self._hear = hear

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            self._hear(message)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # however the pipe ended, the process says why
        self._ended.set()
