"""Processor time of process trees: what a noisy neighbour does not change."""

from collections.abc import Iterable

import psutil


def of_server(postmaster_pid: int) -> float:
    """Seconds that a PostgreSQL server used so far: its running processes and those that have ended."""
    try:
        postmaster = psutil.Process(postmaster_pid)
        used = postmaster.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    ended = used.children_user + used.children_system
    return used.user + used.system + ended + sum(map(_own, postmaster.children(recursive=True)))


def of_trees(pids: Iterable[int]) -> float:
    """Seconds that these processes and their running descendants used so far."""
    total = 0.0
    for pid in pids:
        root = psutil.Process(pid)
        total += _own(root) + sum(map(_own, root.children(recursive=True)))
    return total


def of_processes(processes: Iterable[psutil.Process]) -> float:
    """Seconds that these very processes used so far."""
    return sum(map(_own, processes))


def _own(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return used.user + used.system
