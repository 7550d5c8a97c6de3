"""One incarnation of a worker: from its registration to the end of its lease, or of its drain. The shell of `session`.

Authority   One lease row, renewed by this process, which runs no handlers.
Identity    A new worker id per incarnation: what an earlier one held is never mistaken for ours.
Trust       Until *request sent* + lease − margin, by the monotonic clock; looked at before every event is handled.
Lost lease  Every executor is killed, the session is thrown away, and nothing more is begun or settled by it. The store
            refuses what was settled too late: each attempt's token has moved on.
Failure     When this process itself is frozen or killed, the warden kills the executors.

Every effect that takes time ends by handing an event to `handle`, which never waits.
"""

import asyncio
import os
import platform
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Literal, TypeAlias

import structlog
from msgspec import Struct

from rota import __version__
from rota.core.settlement import decide_settlement
from rota.domain.errors import Bug, Stale, Unavailable
from rota.domain.ids import WorkerId
from rota.domain.run import ClaimedRun
from rota.domain.worker import WorkerSpec
from rota.worker.claiming import Claiming
from rota.worker.executor_process import ExecutorProcess
from rota.worker.forgotten import Hold
from rota.worker.item_keeping import ItemKeeper
from rota.worker.lease_keeping import LeaseKeeper
from rota.worker.log_shipping import LogShipper
from rota.worker.options import WorkerOptions
from rota.worker.protocol import (
    ORDERS_PER_FRAME_MAX,
    Begin,
    Begun,
    Ended,
    FromExecutor,
    ItemsFound,
    ItemsKept,
    Lines,
    LoadFailed,
    Ready,
    Stop,
    TaskFacts,
    Withdraw,
    Withdrawn,
)
from rota.worker.session import step
from rota.worker.session_state import NEVER, Session
from rota.worker.session_words import (
    AttemptsBegun,
    AttemptsEnded,
    AttemptsWithdrawn,
    BeginAttempts,
    Claim,
    DrainAsked,
    Event,
    ExecutorGone,
    ExecutorReady,
    Finish,
    GiveBack,
    KillExecutor,
    Launched,
    Registered,
    Settle,
    StartExecutor,
    StopAttempt,
    Tick,
    WithdrawAttempts,
    WorkHinted,
)
from rota.worker.settling import Settler
from rota.worker.warden_link import WardenLink
from rota.worker.worker_ports import WorkerPorts

_log = structlog.get_logger("rota.worker")

EndReason: TypeAlias = Literal["drained", "lost"]

RETRY_SECONDS = 0.3
GIVE_BACK_TRIES = 5
CLOSE_SECONDS_MAX = 5.0
LOADING_SECONDS = 15.0


class Outgoing(Struct, frozen=True):
    """What outlives an incarnation: settlements and lines are still written when the next one has begun."""

    settler: Settler
    lines: LogShipper
    warden: WardenLink


class Incarnation:
    """Call `run` once. `load_failure` keeps what the first executor said about the user's module."""

    def __init__(self, options: WorkerOptions, ports: WorkerPorts, outgoing: Outgoing) -> None:
        self.worker_id = WorkerId(ports.ids.new_id())
        self.load_failure: LoadFailed | None = None
        self._options = options
        self._ports = ports
        self._out = outgoing
        self._session = Session(options.session_limits())
        self._claiming = Claiming(self.worker_id, options.queues, ports, self._holds)
        self._items = ItemKeeper(ports.plans, ports.clock)
        self._executors: dict[int, ExecutorProcess] = {}
        self._unwanted: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[EndReason] = self._loop.create_future()
        self._loaded: asyncio.Future[tuple[TaskFacts, ...]] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._trusted_until = NEVER

    async def run(self, stop: asyncio.Event) -> EndReason:
        """Until the lease is lost, or `stop` was set and everything that is held has ended."""
        try:
            self.handle(Launched())
            self._spawn(self._drain_when_told(stop))
            self._spawn(self._register_when_loaded())
            return await self._end
        finally:
            await self._close()

    @property
    def was_registered(self) -> bool:
        return self._session.is_registered

    async def sign_off(self) -> None:
        """After a drain, when the last settlement has been told: nothing stays held, and the lease is given back."""
        if self.was_registered:
            await self._tried("give back", self._claiming.give_back_forgotten)
            await self._tried("stop", lambda: self._ports.workers.stop(self.worker_id))

    def handle(self, event: Event) -> None:
        """One event, and its effects in order. Never waits, never called from within itself."""
        if self._end.done():
            return
        now = self._ports.clock.monotonic_seconds()
        if now >= self._trusted_until:
            self._lose("it could not be renewed in time")
            return
        try:
            for effect in step(self._session, event, now):
                self._perform[type(effect)](self, effect)
            self._set_timer(now)
        except Exception as defect:
            # Callers are callbacks of the loop, which would only log it.
            self._fail(defect)
            raise

    def hear(self, number: int, message: FromExecutor) -> None:
        """What an executor says, as events."""
        if isinstance(message, Begun):
            self.handle(AttemptsBegun(number, message.keys))
        elif isinstance(message, Ended):
            self.handle(AttemptsEnded(number, message.ends))
        elif isinstance(message, Lines):
            self._out.lines.add(message.lines)
        elif isinstance(message, Withdrawn):
            self.handle(AttemptsWithdrawn(number, message.keys))
        elif isinstance(message, Ready):
            self._on_loaded(number, message)
        elif isinstance(message, LoadFailed):
            self._on_load_failed(message)
        elif isinstance(message, ItemsFound):
            self._spawn(self._keep_items(number, message))
        else:
            raise Bug(f"executor {number} said {message!r}")

    # Time and the lease

    def _set_timer(self, now: float) -> None:
        wanted = self._session.check_at
        if wanted >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = wanted
        self._timer = self._loop.call_later(max(0.0, wanted - now), self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_at = None, NEVER
        self.handle(Tick())

    def _on_trust(self, until: float) -> None:
        """The lease was renewed. The warden is told first: it must never trust for longer than we do."""
        if not self._end.done():
            self._trusted_until = until
            self._out.warden.trust_until(until)

    def _lose(self, reason: str) -> None:
        if not self._end.done():
            _log.warning("lease_lost", worker_id=self.worker_id, reason=reason, running=len(self._session.attempts))
            self._kill_executors()
            self._end.set_result("lost")

    async def _register_when_loaded(self) -> None:
        tasks = await self._loading()
        spec = self._spec(tasks)
        keeper = LeaseKeeper(self.worker_id, self._options, self._ports)
        try:
            self._on_trust(await keeper.register(spec))
        except Stale as refused:
            self._lose(f"the registration was refused: {refused.detail}")
            return
        _log.info("worker_registered", worker_id=self.worker_id, queues=spec.queues, slots=spec.slots)
        self.handle(Registered())
        self._spawn(self._claiming.keep_looking())
        for queue in self._options.queues:
            self._spawn(self._hint_when_woken(queue))
        await keeper.keep(self._on_trust, self._lose, self.handle)

    async def _loading(self) -> tuple[TaskFacts, ...]:
        """Importing an app may take its time, but not in silence."""
        while not self._loaded.done():
            await asyncio.wait([self._loaded], timeout=LOADING_SECONDS)
            if not self._loaded.done():
                _log.warning("app_still_loading", app=self._options.app, remedy="see what its import waits for")
        return self._loaded.result()

    def _spec(self, tasks: tuple[TaskFacts, ...]) -> WorkerSpec:
        hostname = platform.node()
        return WorkerSpec(
            id=self.worker_id,
            name=self._options.name or f"{hostname}-{os.getpid()}",
            queues=self._options.queues,
            slots=self._options.slots,
            tasks=tuple(facts.name for facts in tasks),
            hostname=hostname,
            pid=os.getpid(),
            version=__version__,
        )

    async def _hint_when_woken(self, queue: str) -> None:
        woken = self._ports.wakeups.subscribe(f"queue:{queue}")
        while True:
            await woken.wait()
            woken.clear()
            self.handle(WorkHinted())

    async def _drain_when_told(self, stop: asyncio.Event) -> None:
        await stop.wait()
        _log.info("worker_drains", worker_id=self.worker_id, running=len(self._session.attempts))
        self.handle(DrainAsked())
        if self._session.is_registered:
            await self._tried("drain", lambda: self._ports.workers.drain(self.worker_id))

    # Executors

    def _on_loaded(self, number: int, message: Ready) -> None:
        if not self._loaded.done():
            self._loaded.set_result(message.tasks)
        self.handle(ExecutorReady(number, message.tasks))

    def _on_load_failed(self, message: LoadFailed) -> None:
        problem = message.problem
        _log.error("app_not_loaded", field=problem.field, problem=problem.problem, remedy=problem.remedy)
        if message.traceback:
            _log.error("app_traceback", traceback=message.traceback)
        if not self._loaded.done() and not self._end.done():
            self.load_failure = message
            self._kill_executors()
            self._end.set_result("lost")

    async def _launch(self, effect: StartExecutor) -> None:
        """From start to end. Never cancelled, so that no process is forgotten half-started."""
        number = effect.executor
        await asyncio.wait([self._end], timeout=effect.delay_seconds)
        if self._end.done() or number in self._unwanted:
            self._gone(number, "it was not needed any more")
            return
        try:
            executor = await ExecutorProcess.launch(number, self._options.hello(), self._out.warden, self.hear)
        except OSError as failed:
            _log.error("executor_not_started", executor=number, reason=str(failed))
            await asyncio.wait([self._end], timeout=RETRY_SECONDS)
            self._gone(number, f"it could not be started: {failed}")
            return
        self._executors[number] = executor
        if self._end.done() or number in self._unwanted:
            executor.kill()
        self._gone(number, await executor.wait_gone())

    def _gone(self, number: int, description: str) -> None:
        self._unwanted.discard(number)
        if self._executors.pop(number, None) is not None:
            how = "ended with the worker" if self._end.done() else description
            _log.info("executor_gone", executor=number, how=how)
        self.handle(ExecutorGone(number, description))

    def _kill_executors(self) -> None:
        for executor in self._executors.values():
            executor.kill()

    # Effects

    def _do_claim(self, effect: Claim) -> None:
        self._spawn(self._claiming.claim(effect.limit, self.handle, self._lose))

    def _holds(self) -> set[Hold]:
        """What the store may rightly believe to be held by us."""
        attempts = self._session.attempts.values()
        return {(each.claimed.run_id, each.claimed.token) for each in attempts} | self._out.settler.unconfirmed()

    def _do_start(self, effect: StartExecutor) -> None:
        self._keep(self._launch(effect))

    def _do_begin(self, effect: BeginAttempts) -> None:
        for order in effect.orders:
            self._out.lines.open(order.key, self._session.attempts[order.key].claimed)
        for first in range(0, len(effect.orders), ORDERS_PER_FRAME_MAX):
            orders = effect.orders[first : first + ORDERS_PER_FRAME_MAX]
            self._executors[effect.executor].send(Begin(orders))

    def _do_stop(self, effect: StopAttempt) -> None:
        if effect.executor in self._executors:
            self._executors[effect.executor].send(Stop(effect.key, effect.reason))

    def _do_withdraw(self, effect: WithdrawAttempts) -> None:
        if not self._session.is_draining:
            reason = "a handler blocks its loop or holds its interpreter, so that others cannot begin"
            _log.warning("executor_stuck", executor=effect.executor, reason=reason)
        if effect.executor in self._executors:
            self._executors[effect.executor].send(Withdraw(effect.keys))

    async def _keep_items(self, number: int, message: ItemsFound) -> None:
        """Of an attempt that is over nobody keeps items; its handler has been told to stop."""
        attempt = self._session.attempts.get(message.key)
        if attempt is not None:
            problem = await self._items.keep(attempt.claimed, message)
            if number in self._executors:
                self._executors[number].send(ItemsKept(message.key, problem))

    def _do_kill(self, effect: KillExecutor) -> None:
        """One that is only being started is killed when it has been."""
        _log.info("executor_killed", executor=effect.executor, reason=effect.reason)
        if effect.executor in self._executors:
            self._executors[effect.executor].kill()
        else:
            self._unwanted.add(effect.executor)

    def _do_settle(self, effect: Settle) -> None:
        settlement = decide_settlement(
            effect.claimed, effect.outcome, effect.error, self._ports.rng, result_json=effect.result_json
        )
        self._out.lines.close(effect.key)
        self._out.settler.add(settlement)

    def _do_give_back(self, effect: GiveBack) -> None:
        self._keep(self._give_back(effect.claims))

    async def _give_back(self, claims: tuple[ClaimedRun, ...]) -> None:
        await self._tried("give back", lambda: self._ports.claims.give_back_batch(claims))
        for queue in {claimed.queue for claimed in claims}:
            self._ports.wakeups.announce(f"queue:{queue}")  # for others that have slots free

    def _do_finish(self, _effect: Finish) -> None:
        self._end.set_result("drained")

    _perform: ClassVar[dict[type, Callable[["Incarnation", Any], None]]] = {
        Claim: _do_claim,
        StartExecutor: _do_start,
        BeginAttempts: _do_begin,
        StopAttempt: _do_stop,
        WithdrawAttempts: _do_withdraw,
        KillExecutor: _do_kill,
        Settle: _do_settle,
        GiveBack: _do_give_back,
        Finish: _do_finish,
    }

    # Ending

    async def _tried(self, what: str, call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """A courtesy to the store: after a few tries it is left to the end of the lease, which does the same later."""
        for _ in range(GIVE_BACK_TRIES):
            try:
                await call()
                return
            except Unavailable as away:
                _log.warning("store_away", verb=what, detail=away.detail)
                await self._ports.clock.sleep(RETRY_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Cancelled at the end."""
        self._track(work, self._tasks)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Waited for at the end."""
        self._track(work, self._kept)

    def _track(self, work: Coroutine[Any, Any, None], tasks: "set[asyncio.Task[None]]") -> None:
        task = self._loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        """Whatever was not foreseen ends the worker, loudly."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        if not self._end.done():
            self._kill_executors()
            self._end.set_exception(failure)

    async def _close(self) -> None:
        """Nothing that runs handlers survives the incarnation; what is still being told to the store gets a moment."""
        self._end.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._kill_executors()
        self._out.lines.close_all()
        for task in self._tasks:
            task.cancel()
        if self._kept:
            _, unfinished = await asyncio.wait(self._kept, timeout=CLOSE_SECONDS_MAX)
            for task in unfinished:
                task.cancel()
