"""The processes of a session: starting, retiring, replacing and killing them. Part of `rota.worker.session`; pure."""

from collections.abc import Iterator

from rota.domain.run import RunError
from rota.worker.session_state import NEVER, ExecutorState, Session
from rota.worker.session_words import Effect, KillExecutor, StartExecutor

Effects = Iterator[Effect]

# A process that lived this long was not a failed start: the back-off begins anew.
SETTLED_SECONDS = 10.0

# What is said where a process may open no more files (EMFILE), or have no more threads.
_EXHAUSTIONS = (("OSError", "[Errno 24]"), ("RuntimeError", "can't start new thread"))


def start_executor(session: Session, *, solo_key: int | None = None, delay_seconds: float = 0.0) -> StartExecutor:
    session.last_executor += 1
    started = ExecutorState(session.last_executor, solo_key=solo_key)
    session.executors[started.id] = started
    if solo_key is not None:
        session.attempts[solo_key].executor = started.id
        del session.waiting[solo_key]
    return StartExecutor(started.id, delay_seconds)


def restart_delay(session: Session, executor: ExecutorState, now: float) -> float:
    if now - executor.ready_at >= SETTLED_SECONDS:
        session.restarts_in_a_row = 0
    # 2 ** 16 is beyond any cap: the exponent is bounded so that it cannot overflow.
    exponent = min(session.restarts_in_a_row, 16)
    session.restarts_in_a_row += 1
    return min(session.limits.restart_seconds_base * 2**exponent, session.limits.restart_seconds_cap)


def is_exhausted(error: RunError) -> bool:
    """A handler failed for want of what handlers of its process have leaked: those that come after it would, too."""
    return any(error.type == kind and error.message.startswith(words) for kind, words in _EXHAUSTIONS)


def retire(session: Session, executor: ExecutorState, now: float) -> None:
    """No new attempts from now on; `reap` and `replenish` do the rest."""
    executor.phase = "retired"
    if not executor.is_killed:
        executor.kill_at = min(executor.kill_at, now + session.limits.retire_seconds_max)


def spare(session: Session, executor: ExecutorState) -> None:
    """Nothing waits in vain for a retired process: what still runs there may take its time."""
    waits = any(session.attempts[key].phase == "sent" for key in executor.held)
    if executor.phase == "retired" and not executor.overdue and not waits:
        executor.kill_at = NEVER


def reap(session: Session) -> Effects:
    """Retired processes go when nothing of ours is left in them; those of their own with their attempt."""
    for executor in session.executors.values():
        if executor.held or (executor.phase != "retired" and executor.solo_key is None):
            continue
        if executor.solo_key is None or executor.solo_key not in session.attempts:
            yield from kill(executor, "retired")


def replenish(session: Session) -> Effects:
    """A retired process is replaced at once, unless more are being retired than the pool has."""
    if session.is_draining or not session.last_executor:
        return
    pool_count = retired_count = 0
    for each in session.executors.values():
        if each.solo_key is None:
            pool_count += 1
            retired_count += each.phase == "retired"
    allowed = min(session.limits.executors, 2 * session.limits.executors + 1 - retired_count)
    for _ in range(allowed - (pool_count - retired_count)):
        yield start_executor(session)


def kill(executor: ExecutorState, reason: str) -> Effects:
    if not executor.is_killed:
        executor.phase, executor.is_killed, executor.kill_at = "retired", True, NEVER
        yield KillExecutor(executor.id, reason)
