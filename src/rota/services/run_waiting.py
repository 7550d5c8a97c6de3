"""Why a run waits, for whoever shows one: asked at the moment of reading, and stored nowhere."""

from rota.core.waiting import waiting_reasons
from rota.domain.run import Run
from rota.domain.targets import HttpTarget
from rota.ports.wait_reader import WaitReader

WAITING_STATES = frozenset({"scheduled", "queued"})


async def reasons_of(run: Run, waits: WaitReader) -> tuple[str, ...]:
    """The most important first; none unless the run waits."""
    if run.state not in WAITING_STATES:
        return ()
    facts = await waits.facts(run.tenant_id, run.id, _task_of(run), run.policy.concurrency_key)
    return () if facts is None else waiting_reasons(facts)


def _task_of(run: Run) -> str | None:
    return None if isinstance(run.target, HttpTarget) else run.target.task
