"""The warden: a small process that kills executors when their supervisor cannot.

The supervisor stops its executors before its lease can end. When it is itself frozen or killed it cannot, and an
executor cannot be trusted to do so, because a handler may hold its interpreter. The warden runs no handlers: it is told
which processes and process groups there are and until when they are trusted, and kills all of them when that instant
passes, or when the supervisor's end of the pipe closes.

Started as a file of its own, without site packages: it imports nothing but the standard library, and little of that.
Its words, one per line: `trust <instant>`, `watch p|g <id>`, `forget p|g <id>`.
"""

import os
import select
import signal
import sys
import time

READ_BYTES = 65_536
# A bound on sleeping, because a suspended machine's timers stand still while its clock goes on.
SLEEP_SECONDS_MAX = 0.5

# The same clock as the supervisor's port reads (`rota.adapters.system_clock`): instants cross between processes.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Watch:
    """What may be alive, and until when. A process is held by a descriptor, so that its number cannot be reused."""

    def __init__(self) -> None:
        self.trusted_until = float("inf")
        self._processes: dict[int, int | None] = {}
        self._groups: set[int] = set()

    def obey(self, line: str) -> None:
        words = line.split()
        if words[0] == "trust":
            self.trusted_until = float(words[1])
        elif words[0] == "watch":
            self._watch(words[1], int(words[2]))
        else:
            self._forget(words[1], int(words[2]))

    def kill_all(self) -> None:
        for group in self._groups:
            _quietly(os.killpg, group, signal.SIGKILL)
        for process, descriptor in self._processes.items():
            if descriptor is None:
                _quietly(os.kill, process, signal.SIGKILL)
            else:
                _quietly(signal.pidfd_send_signal, descriptor, signal.SIGKILL)
                os.close(descriptor)
        self._groups = set()
        self._processes = {}

    def _watch(self, kind: str, number: int) -> None:
        if kind == "g":
            self._groups.add(number)
        else:
            self._processes[number] = _descriptor_of(number)

    def _forget(self, kind: str, number: int) -> None:
        if kind == "g":
            self._groups.discard(number)
            return
        descriptor = self._processes.pop(number, None)
        if descriptor is not None:
            os.close(descriptor)


def _descriptor_of(process: int) -> int | None:
    """None where the system has no such descriptors, or the process is gone already."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(process)
    except OSError:
        return None


def _quietly(kill: "object", number: int, signal_number: signal.Signals) -> None:
    """What is to be killed may be gone."""
    assert callable(kill)
    try:
        kill(number, signal_number)
    except OSError:
        return


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch, rest = Watch(), b""
    while True:
        patience = min(SLEEP_SECONDS_MAX, watch.trusted_until - time.clock_gettime(_CLOCK))
        readable, _, _ = select.select([0], [], [], max(0.0, patience))
        data = os.read(0, READ_BYTES) if readable else None
        if data == b"":
            watch.kill_all()
            return
        *lines, rest = (rest + (data or b"")).split(b"\n")
        for line in lines:
            watch.obey(line.decode())
        if time.clock_gettime(_CLOCK) >= watch.trusted_until:
            watch.kill_all()
            watch.trusted_until = float("inf")


if __name__ == "__main__":
    sys.exit(main())
