"""Counts the handlers that ran, in files that the harness reads while they grow. Needs only the standard library.

Each process that runs handlers keeps a file of its own, mapped into memory, so that counting costs a fraction of a
microsecond, the same for every system. A second part of the file says when each numbered job began.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_COUNT = struct.Struct("=Q")
DIRECTORY_VARIABLE = "BENCH_COUNTS"
SAMPLES_VARIABLE = "BENCH_SAMPLES"


class Counter:
    """One process's file in *directory*, with room for the begin of *samples* numbered jobs. Safe across a fork."""

    def __init__(self, directory: Path, samples: int = 0) -> None:
        self.directory = directory
        self.samples = samples
        self._pid = 0
        self._cells = memoryview(b"")

    def ran(self, number: int) -> None:
        """A handler has begun. *number* is the job's; beyond the samples only the count grows."""
        if self._pid != os.getpid():
            self._open()
        if number < self.samples:
            self._cells[number + 1] = time.monotonic_ns()
        self._cells[0] += 1

    def _open(self) -> None:
        self._pid = os.getpid()
        size = _COUNT.size * (1 + self.samples)
        with (self.directory / str(self._pid)).open("w+b") as file:
            file.truncate(size)
            self._cells = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")


def counter_of_environment() -> Counter:
    """For handlers that are imported by a worker they do not start themselves."""
    return Counter(Path(os.environ[DIRECTORY_VARIABLE]), int(os.environ.get(SAMPLES_VARIABLE, "0")))


def count_in(directory: Path) -> int:
    """How many handlers ran so far, over all processes."""
    return sum(cells[0] for cells in _all_cells(directory))


def beginnings_in(directory: Path, samples: int) -> list[int]:
    """When each numbered job first began, in nanoseconds of the monotonic clock; 0 where it never did."""
    columns = zip(*(cells[1 : samples + 1] for cells in _all_cells(directory)), strict=True)
    return [min((at for at in column if at), default=0) for column in columns]


def _all_cells(directory: Path) -> list[tuple[int, ...]]:
    cells: list[tuple[int, ...]] = []
    for path in directory.iterdir():
        data = path.read_bytes()
        cells.append(struct.unpack(f"={len(data) // _COUNT.size}Q", data))
    return [one for one in cells if one]
