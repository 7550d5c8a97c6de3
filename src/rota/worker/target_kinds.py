"""Which kinds of targets a batch of claimed runs has, at a few hundredths of a microsecond a run.

Most batches are plain tasks alone. Whoever prepares other kinds asks here first whether there is anything to prepare.
"""

from collections.abc import Collection, Sequence

from rota.domain.run import ClaimedRun
from rota.domain.targets import HttpTarget, TaskTarget


def have_kind(runs: Sequence[ClaimedRun], kinds: Collection[type]) -> bool:
    """Whether any of the runs has a target of one of these very kinds."""
    return not {type(run.target) for run in runs}.isdisjoint(kinds)


def have_task(runs: Sequence[ClaimedRun], tasks: Collection[str]) -> bool:
    """Whether any of the runs executes one of these tasks."""
    return not {run.target.task for run in runs if isinstance(run.target, TaskTarget)}.isdisjoint(tasks)


def have_fan_out(runs: Sequence[ClaimedRun]) -> bool:
    """Whether any of the runs is to be fanned out."""
    return any(run.target.fan_out for run in runs if isinstance(run.target, TaskTarget | HttpTarget))
