"""The leader's part of callbacks: it ends the attempts that were called back, waited too long, or are to be cancelled.

It needs no fence: a run that waits is settled under its own token, so that two leaders, or one that died between the
settlement and what follows, end it once. An idle watch costs one look per `POLL_SECONDS`.
"""

from rota.core.callbacks import decide_wait_end
from rota.ports.callback_store import CallbackKeeping
from rota.ports.clock import Clock
from rota.ports.rng import Rng
from rota.ports.run_store import RunClaims
from rota.ports.wakeups import Wakeups
from rota.services.callback_verbs import CALLBACKS_TOPIC
from rota.services.fan_out_watch import CANCEL_TOPIC
from rota.services.leadership import Leadership
from rota.services.waiting import wait_for_any

POLL_SECONDS = 5.0
# While a run waits: so soon is an answer seen whose wake-up was lost, a deadline, or a cancellation.
WAITING_POLL_SECONDS = 1.0
SPACING_SECONDS = 0.02
STANDBY_SECONDS = 60.0
RUNS_PER_BATCH_MAX = 200
FORGOTTEN_PER_ROUND_MAX = 1_000


class CallbackWatch:
    """`run` is its loop."""

    def __init__(
        self,
        keeping: CallbackKeeping,
        claims: RunClaims,
        leadership: Leadership,
        wakeups: Wakeups,
        *,
        clock: Clock,
        rng: Rng,
    ) -> None:
        self._keeping = keeping
        self._claims = claims
        self._leadership = leadership
        self._wakeups = wakeups
        self._clock = clock
        self._rng = rng
        self._changed = leadership.subscribe()
        self._told = (wakeups.subscribe(CALLBACKS_TOPIC), wakeups.subscribe(CANCEL_TOPIC))

    async def run(self) -> None:
        """Until it is cancelled. Raises Unavailable; the next run begins with a look."""
        calls = [self._changed, *self._told]
        while True:
            for call in calls:
                call.clear()
            leads = self._leadership.fence() is not None
            pause = await self.round() if leads else STANDBY_SECONDS
            await self._clock.sleep(SPACING_SECONDS)
            await wait_for_any(calls if leads else [self._changed], self._clock, pause)

    async def round(self) -> float:
        """One look and what it calls for; gives the seconds until the next one."""
        look = await self._keeping.look()
        if look.has_ended:
            await self._end()
        if look.has_aged:
            await self._keeping.forget_aged(FORGOTTEN_PER_ROUND_MAX)
        return WAITING_POLL_SECONDS if look.has_waiting else POLL_SECONDS

    async def _end(self) -> None:
        """A settlement that is refused was made before: by us, or by another leader."""
        ended = await self._keeping.list_ended(RUNS_PER_BATCH_MAX)
        while ended:
            live = [one for one in ended if one.claimed is not None]
            results = await self._claims.settle_batch([decide_wait_end(one, self._rng) for one in live])
            await self._keeping.close(ended)
            queues = {one.claimed.queue for one in live if one.claimed is not None}
            for queue in queues.union(*(result.startable_queues for result in results)):
                self._wakeups.announce(f"queue:{queue}")
            ended = await self._keeping.list_ended(RUNS_PER_BATCH_MAX)
