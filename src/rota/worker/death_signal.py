"""Dying with the parent: on Linux the kernel sees to it, elsewhere the end of the pipe does alone.

The C library is looked up at import, because between fork and exec nothing may be imported.
"""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """From now on the end of the thread that started this process kills it."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
