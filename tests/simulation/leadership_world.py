"""A world of processes that compete for one lease: a model store, slow and lossy calls, pauses, clocks of their own.

Discrete events on true time; no clock, loop or thread. After every event the watch looks at true time: whoever trusts
itself must be the holder by the store, so that two can never trust at once. The store may pause too, and every process
stops and begins anew at random.
"""

import heapq
from collections.abc import Callable
from itertools import count
from random import Random  # noqa: TID251 - a world is made of seeded dice

from msgspec import Struct

from rota.core.leadership import (
    Acquire,
    AcquireAnswered,
    CallFailed,
    Effect,
    Ended,
    Event,
    Gained,
    LeadershipPolicy,
    Lost,
    Nudged,
    Release,
    ReleaseAnswered,
    Renew,
    RenewAnswered,
    Resign,
    State,
    Tick,
    begin,
    step,
    trusted_fence,
)
from rota.domain.ids import Epoch
from rota.domain.lease import Fence, Lease
from tests.unit.core.values import NOON


class Faults(Struct, frozen=True):
    """How rough the world is. `rate_error` bounds by how much a process clock is fast or slow."""

    delay_seconds: float = 0.02
    slow_share: float = 0.05
    loss_share: float = 0.05
    pause_share: float = 0.02
    stop_share: float = 0.005
    rate_error: float = 0.02


CALM = Faults(slow_share=0.0, loss_share=0.0, pause_share=0.0, stop_share=0.0)


class ModelStore:
    """One lease row, and true time as its clock."""

    def __init__(self) -> None:
        self.epoch, self.holder, self.expires_at = 0, "", 0.0
        self.history: list[tuple[float, int, str]] = []

    def acquire(self, now: float, holder: str, seconds: float) -> Lease:
        if now >= self.expires_at:
            self.epoch, self.holder, self.expires_at = self.epoch + 1, holder, now + seconds
            self.history.append((now, self.epoch, holder))
        return self._lease(now)

    def renew(self, now: float, holder: str, epoch: int, seconds: float) -> Lease | None:
        if not self._held(now, holder, epoch):
            return None
        self.expires_at = now + seconds
        return self._lease(now)

    def release(self, now: float, holder: str, epoch: int) -> None:
        if self._held(now, holder, epoch):
            self.expires_at = now

    def _held(self, now: float, holder: str, epoch: int) -> bool:
        return now < self.expires_at and (self.holder, self.epoch) == (holder, epoch)

    def _lease(self, now: float) -> Lease:
        return Lease("leader", Epoch(self.epoch), self.holder, NOON, NOON, self.expires_at - now)


class Process:
    """One competitor. Its clock runs at its own rate and began anywhere; while paused it neither acts nor hears."""

    def __init__(self, name: str, rate: float, offset: float) -> None:
        self.policy = LeadershipPolicy("leader", name)
        self.rate, self.offset = rate, offset
        self.paused_until = 0.0
        self.state: State = begin(-float("inf"))
        self.alive = True
        self.told: Fence | None = None

    def clock(self, true_now: float) -> float:
        return true_now * self.rate + self.offset

    def true_time(self, reading: float) -> float:
        return (reading - self.offset) / self.rate

    def trusts(self, true_now: float) -> Fence | None:
        return trusted_fence(self.state, self.clock(true_now)) if self.alive else None


class World:
    """Runs processes to a given true time and notes every broken law in `violations`."""

    def __init__(self, seed: int, processes: int, faults: Faults) -> None:
        self.dice, self.faults = Random(seed), faults
        self.store = ModelStore()
        self.now = 0.0
        self.violations: list[str] = []
        self.gained: list[tuple[float, str]] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._names = count(1)
        self.processes: list[Process] = []
        for _ in range(processes):
            self.start_process()

    def uniform(self) -> float:
        return self.dice.random()

    def start_process(self) -> Process:
        rate = 1 + self.faults.rate_error * (2 * self.uniform() - 1)
        process = Process(f"p{next(self._names)}", rate, 1000 * self.uniform())
        self.processes.append(process)
        self.at(self.now + self.uniform() * 0.1, lambda: self.deliver(process, Tick()))
        return process

    def at(self, time: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (time, next(self._order), act))

    def run_until(self, end: float) -> None:
        while self._queue and self._queue[0][0] <= end:
            self.now, _, act = heapq.heappop(self._queue)
            self.watch()
            act()
            self.watch()
        self.now = end

    def watch(self) -> None:
        trusting = [process for process in self.processes if process.trusts(self.now)]
        for process in trusting:
            fence = process.trusts(self.now)
            if fence and (self.store.holder, self.store.epoch) != (process.policy.holder, fence.epoch):
                self.violations.append(f"{self.now:.3f}: {process.policy.holder} trusts {fence.epoch} in vain")
        if len(trusting) > 1:
            self.violations.append(f"{self.now:.3f}: {[process.policy.holder for process in trusting]} trust at once")

    def deliver(self, process: Process, event: Event) -> None:
        if not process.alive:
            return
        if self.now < process.paused_until:
            self.at(process.paused_until, lambda: self.deliver(process, event))
            return
        self._disturb(process)
        process.state, effects = step(process.state, event, process.clock(self.now), process.policy, self)
        for effect in effects:
            self._perform(process, effect)
        wake_at = process.true_time(process.state.wake_at)
        if wake_at != float("inf"):
            self.at(max(wake_at, self.now + 1e-4), lambda: self.deliver(process, Tick()))

    def _disturb(self, process: Process) -> None:
        if self.uniform() < self.faults.pause_share:
            process.paused_until = self.now + self.uniform() * 6
        if self.uniform() < self.faults.stop_share:
            process.alive = False
            self.start_process()

    def _perform(self, process: Process, effect: Effect) -> None:
        match effect:
            case Gained(fence=fence):
                process.told = fence
                self.gained.append((self.now, process.policy.holder))
            case Lost():
                process.told = None
            case Ended():
                process.alive = False
            case Acquire() | Renew() | Release():
                self._call(process, effect)

    def _call(self, process: Process, call: Acquire | Renew | Release) -> None:
        """There and back, each way with its delay; either way may be lost, and the caller's patience is bounded."""
        sent_at, sent_true = process.clock(self.now), self.now
        patience = process.policy.call_seconds_max
        answers: list[Event] = []

        def arrive() -> None:
            answer = self._carry_out(process.policy, call, sent_at)
            if self.uniform() >= self.faults.loss_share:
                self.at(self.now + self._delay(), lambda: settle(answer))

        def settle(event: Event) -> None:
            if not answers:
                answers.append(event)
                self.deliver(process, event)

        if self.uniform() >= self.faults.loss_share:
            self.at(self.now + self._delay(), arrive)
        self.at(sent_true + patience, lambda: settle(CallFailed()))

    def _delay(self) -> float:
        slow = self.uniform() < self.faults.slow_share
        return self.uniform() * (3.0 if slow else self.faults.delay_seconds)

    def _carry_out(self, policy: LeadershipPolicy, call: Acquire | Renew | Release, sent_at: float) -> Event:
        match call:
            case Acquire():
                return AcquireAnswered(self.store.acquire(self.now, policy.holder, policy.lease_seconds), sent_at)
            case Renew(epoch=epoch):
                lease = self.store.renew(self.now, policy.holder, epoch, policy.lease_seconds)
                return RenewAnswered(lease, sent_at)
            case Release(epoch=epoch):
                self.store.release(self.now, policy.holder, epoch)
                self._nudge_all()
                return ReleaseAnswered()

    def _nudge_all(self) -> None:
        for process in self.processes:
            if self.uniform() >= self.faults.loss_share:
                self.at(self.now + self._delay(), lambda process=process: self.deliver(process, Nudged()))

    def leader(self) -> Process | None:
        return next((process for process in self.processes if process.trusts(self.now)), None)

    def kill_leader(self) -> None:
        leader = self.leader()
        assert leader is not None
        leader.alive = False

    def resign_leader(self) -> None:
        leader = self.leader()
        assert leader is not None
        self.deliver(leader, Resign())
