"""The built-in tasks that execute graph jobs and policy jobs.

They touch no store: the supervisor hands them the documents with the order, packed, and saves what they return under
the attempt's token (see `job_claims`).
"""

from base64 import b64decode, b64encode
from typing import Any

from rota.core.job_execution import execute
from rota.core.packing import pack
from rota.domain.errors import DomainError
from rota.domain.jobs import RESULT_BYTES_MAX, TASKS
from rota.worker.app import App
from rota.worker.outcomes import NonRetryable

RESULT_FIELD = "rota_job_result"


def add_job_tasks(app: App) -> None:
    """In threads: building a large graph must not hold up the loop."""
    for name in TASKS:
        app.task(name=name)(execute_job)


def execute_job(*, job_id: str = "", kind: str = "", documents: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """The packed result of a job, for the supervisor."""
    if documents is None:
        raise NonRetryable(
            f"the run executes no job that is live ({job_id or 'none was named'}); ask for a job instead"
        )
    given = {name: tuple(b64decode(one) for one in packed) for name, packed in documents.items()}
    try:
        result = execute(kind, given)
    except DomainError as refused:
        raise NonRetryable(refused.detail) from refused
    packed = pack(result)
    if len(packed) > RESULT_BYTES_MAX:
        detail = f"the result has {len(packed)} bytes, compressed; at most {RESULT_BYTES_MAX} are kept: split the input"
        raise NonRetryable(detail)
    return {RESULT_FIELD: b64encode(packed).decode()}
