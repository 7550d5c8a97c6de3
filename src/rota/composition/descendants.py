"""The processes below this one, wherever they have gone: on Linux also those whose parent has ended."""

import ctypes
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

import psutil

_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

END_SECONDS_MAX = 5.0
ROUND_SECONDS = 0.05


def adopt_orphans() -> None:
    """From now on a descendant whose parent ends becomes this process's child, so that it is found."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_descendants(number: signal.Signals) -> None:
    for process in _living():
        with suppress(psutil.Error):
            process.send_signal(number)


def kill_descendants() -> bool:
    """Until none is left, also of those that are born meanwhile; False where one does not go."""
    for _ in range(round(END_SECONDS_MAX / ROUND_SECONDS)):
        living = _living()
        if not living:
            return True
        for process in living:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(living, timeout=ROUND_SECONDS)
    return False


def _living() -> Sequence[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
