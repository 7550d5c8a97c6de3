"""What a plan may stand on: a run that is deleted while it is taken over fails the attempt, and leaves no half plan."""

from typing import Any, cast

import pytest
from msgspec.structs import replace

from rota.domain.fan_out import FanOut, TaskSelector
from rota.domain.ids import AttemptToken, RunId
from rota.domain.policies import RunPolicy
from rota.domain.run import ClaimedRun
from rota.domain.targets import PlanTarget
from rota.ports.fan_out_store import Cut
from rota.worker.item_keeping import ItemKeeper
from rota.worker.protocol import ItemsFound
from tests.contract.records import ACME, new_id
from tests.contract.stores import START

AGAIN_FOR = RunId(new_id())


class Plans:
    """Has one segment of the run that is done again, and that run's snapshot for as long as `is_there`."""

    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there
        self.segments = [1]
        self.cuts = 0

    async def stage_unsuccessful(self, _: object, of_run: RunId, *__: int) -> int | None:
        assert of_run == AGAIN_FOR
        return self.segments.pop() if self.segments else None

    async def has_snapshot(self, *_: object) -> bool:
        return self.is_there

    async def cut_segments(self, *_: object) -> Cut:
        self.cuts += 1
        return Cut(1, is_all=True)


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_plan_is_cut_only_where_the_run_that_is_done_again_is_still_there(*, is_there: bool) -> None:
    plans = Plans(is_there=is_there)
    keeper = ItemKeeper(cast("Any", plans), cast("Any", None))
    fan_out = replace(FanOut(TaskSelector("images.of")), again_for=AGAIN_FOR)
    target = PlanTarget(fan_out, takes_over=True)
    claimed = ClaimedRun(RunId(new_id()), ACME, AttemptToken(1), 1, target, RunPolicy(), "default", START)
    wrong = await keeper.keep(claimed, ItemsFound(1, (), is_last=True))

    assert plans.cuts == int(is_there)
    assert (wrong is None) == is_there
    assert is_there or "was deleted meanwhile" in str(wrong)
