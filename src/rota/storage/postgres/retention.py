"""Retention in PostgreSQL, through the service login. Days are dropped by a function of the schema, which looks up the
rule itself: a mistake of the caller drops nothing that is to be kept.
"""

from datetime import date, datetime

from rota.domain.errors import Bug
from rota.domain.event import EventDraft
from rota.domain.retention import DropOutcome, HistoryDay, PrunedStretch, RetentionRule, RetentionRules
from rota.domain.tenancy import AuditEntry
from rota.ports.retention_store import OnRules
from rota.storage.postgres.audit import insert_audit
from rota.storage.postgres.connections import transaction
from rota.storage.postgres.driver import Pool, Row
from rota.storage.postgres.events import insert_events
from rota.storage.postgres.query_files import query
from rota.storage.postgres.single_statements import SingleStatements

_READ_RULES = query("retention/read_rules")
_LOCK_RULES = query("retention/lock_rules")
_SAVE_LOCKED = query("retention/save_locked")
_SURVEY_DAYS = query("retention/survey_days")
_DROP_DAY_IF_AGED = query("retention/drop_day_if_aged")
_PRUNE = {
    "run_keys": query("retention/prune_run_keys"),
    "unique_keys": query("retention/prune_unique_keys"),
    "graph_jobs": query("retention/prune_graph_jobs"),
    "policy_jobs": query("retention/prune_policy_jobs"),
    "workers": query("retention/prune_workers"),
    "idempotency_keys": query("retention/prune_idempotency_keys"),
}


class PostgresRetentionStore:
    """See `rota.ports.retention_store.RetentionStore`."""

    def __init__(self, service_pool: Pool, *, pooled_by_transaction: bool = False) -> None:
        self._pool = service_pool
        self._statements = SingleStatements(service_pool, pooled_by_transaction=pooled_by_transaction)

    async def rules(self) -> RetentionRules:
        return _rules(await self._statements.fetch("reading the rules of retention", _READ_RULES))

    async def change(self, decide: OnRules, audit: AuditEntry) -> RetentionRules:
        async with transaction(self._pool, doing="changing the rules of retention") as connection:
            wanted = decide(_rules(await connection.fetch(_LOCK_RULES)))
            for kind, keep_days in wanted.items():
                await connection.execute(_SAVE_LOCKED, kind, keep_days, audit.actor)
            told = EventDraft("RetentionChanged", None, "retention", audit.actor, {"keep_days": dict(wanted)})
            await insert_events(connection, [told])
            await insert_audit(connection, None, audit)
            return _rules(await connection.fetch(_READ_RULES))

    async def days_until(self, until: datetime) -> tuple[HistoryDay, ...]:
        rows = await self._statements.fetch("looking at the days of history", _SURVEY_DAYS, until)
        return tuple(
            HistoryDay(row["kind"], row["day"], row["bytes"], row["rows_estimate"], row["is_needed"]) for row in rows
        )

    async def drop_if_aged(self, kind: str, day: date, audit: AuditEntry) -> DropOutcome:
        row = await self._statements.fetch_one(
            "dropping a day of history", _DROP_DAY_IF_AGED, kind, day, audit.actor, audit.request_id
        )
        if row is None:
            raise Bug("a function's value is a row")
        outcome: DropOutcome = row["outcome"]
        return outcome

    async def prune_stretch(self, kind: str, from_page: int, pages: int) -> PrunedStretch:
        row = await self._statements.fetch_one("pruning history", _PRUNE[kind], from_page, pages)
        if row is None:
            raise Bug("a count is a row")
        return PrunedStretch(row["deleted_count"], row["next_page"])


def _rules(rows: list[Row]) -> RetentionRules:
    if not rows:
        raise Bug("the rules of retention are gone")
    rules = (RetentionRule(row["kind"], row["keep_days"], row["changed_at"], row["changed_by"]) for row in rows)
    return RetentionRules(rows[0]["now"], tuple(rules))
