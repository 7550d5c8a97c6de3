"""The sources that a chaos run tests: a copy, so that an edit meanwhile changes nothing under its processes.

With `--broken NAME` a guard is taken out of the copy, to see that the checker sees it. A text that is not found is an
error, so that no variant rots into a system that works.
"""

import shutil
from pathlib import Path

from msgspec import Struct

QUERIES = "rota/storage/postgres/queries"
MIGRATIONS = "rota/storage/postgres/migrations"


class Breakage(Struct, frozen=True):
    """Every `old` in `file` becomes `new`."""

    file: str
    old: str
    new: str


BREAKAGES: dict[str, tuple[Breakage, ...]] = {
    # A trigger advances, and now and then the run is not born.
    "forgets-runs": (
        Breakage(
            f"{QUERIES}/triggers/apply_advances.sql",
            "WHERE (d.step IN (SELECT a.n FROM advanced a)) IS TRUE",
            "WHERE (d.step IN (SELECT a.n FROM advanced a)) IS TRUE AND random() > 0.0005",
        ),
    ),
    # Nobody takes back what dead workers held.
    "no-rescue": tuple(
        Breakage(f"{QUERIES}/live_runs/{name}.sql", " LIMIT $2\n", " LIMIT 0 * $2::bigint\n")
        for name in ("find_lost", "find_lost_since")
    ),
    # Who settles an attempt need not hold its run any more.
    "no-token": (
        Breakage(f"{QUERIES}/live_runs/settle_batch.sql", "AND v.attempt_token = g.token", ""),
        Breakage(f"{QUERIES}/live_runs/settle_batch.sql", "AND l.attempt_token = g.token", ""),
        Breakage(
            f"{QUERIES}/live_runs/settle_alike_successes.sql", "AND l.attempt_token = $2", "AND $2::bigint IS NOT NULL"
        ),
    ),
    # All attempts of a run have one token.
    "same-token": tuple(
        Breakage(
            f"{QUERIES}/live_runs/{name}.sql",
            "((l.attempt_token >> 32) + 1) << 32 | t.token_mark",
            "1::bigint << 32",
        )
        for name in ("claim_batch", "claim_plain_batch")
    ),
    # What living workers hold is taken from them shortly before their leases end.
    "hasty-rescue": (
        Breakage(
            f"{QUERIES}/live_runs/find_lost.sql",
            "AND w.lease_expires_at > c.now) AS gone",
            "AND w.lease_expires_at > c.now + interval '3 s') AS gone",
        ),
        Breakage(
            f"{QUERIES}/live_runs/find_lost_since.sql",
            "w.lease_expires_at <= c.now AS gone",
            "w.lease_expires_at <= c.now + interval '3 s' AS gone",
        ),
    ),
    # An attempt that was lost leaves no trace.
    "silent-losses": (
        Breakage(
            f"{QUERIES}/live_runs/settle_batch.sql",
            "AND s.outcome <> 'succeeded'\n), told AS (",
            "AND s.outcome NOT IN ('succeeded', 'lost')\n), told AS (",
        ),
    ),
    # A claim whose answer was lost is not looked for.
    "no-looking": (
        Breakage(
            "rota/worker/claiming.py",
            "async def give_back_forgotten(self) -> None:\n",
            "async def give_back_forgotten(self) -> None:\n        return\n",
        ),
    ),
    # A take-over keeps the epoch.
    "same-epoch": (Breakage(f"{QUERIES}/leases/acquire_if_free.sql", "epoch = l.epoch + 1", "epoch = l.epoch"),),
    # Handlers of a worker whose lease has ended go on.
    "no-warden": (
        Breakage(
            "rota/worker/warden.py",
            "def kill_all(self) -> None:\n        for group in self._groups:",
            "def kill_all(self) -> None:\n        return\n        for group in self._groups:",
        ),
    ),
    # The back-off of a milestone holds up nobody.
    "hasty-milestones": (
        Breakage(
            "rota/core/milestones.py",
            "until > look.now and not whatever_the_backoff\n",
            "until > look.now and not (whatever_the_backoff or look)\n",
        ),
    ),
    # A segment is handed all of its items but the last.
    "short-segments": (
        Breakage(
            f"{QUERIES}/impact/read_slices.sql",
            "AND i.item BETWEEN c.first_item AND c.last_item",
            "AND i.item >= c.first_item AND i.item < c.last_item",
        ),
    ),
    # Claims look at what has room without holding the limit.
    "unlocked-limits": (
        Breakage(f"{QUERIES}/live_runs/claim_batch.sql", "$6::text[], true) AS r", "$6::text[], false) AS r"),
        Breakage(
            f"{QUERIES}/live_runs/claim_plain_batch.sql", "FROM offered o), true) AS r", "FROM offered o), false) AS r"
        ),
    ),
    # What begins takes half of what it should from its queue's rate.
    "cheap-rates": (
        Breakage(
            f"{QUERIES}/live_runs/claim_batch.sql",
            "spend_tokens(g.queue, g.begun)",
            "spend_tokens(g.queue, g.begun / 2)",
        ),
        Breakage(
            f"{QUERIES}/live_runs/claim_plain_batch.sql", "spend_tokens($2, c.begun)", "spend_tokens($2, c.begun / 2)"
        ),
    ),
    # A run that waits for several others is let go when the first of them has ended.
    "impatient-dependents": (
        Breakage(
            f"{MIGRATIONS}/0035_expand_concurrency_keys.sql",
            "WHEN bool_or(d.upstream_state IS NULL) THEN 'wait'",
            "WHEN bool_and(d.upstream_state IS NULL) THEN 'wait'",
        ),
    ),
    # Of those who must act when a run has ended, one in fifty is never told.
    "forgets-ends": (
        Breakage(
            f"{MIGRATIONS}/0015_expand_followed_runs.sql",
            "         WHERE r.tenant_id = OLD.tenant_id\n           AND r.id = OLD.run_id;",
            "         WHERE r.tenant_id = OLD.tenant_id\n           AND random() > 0.02 AND r.id = OLD.run_id;",
        ),
    ),
}


def copy_sources(sources: Path, into: Path, broken: str | None) -> Path:
    """`sources` is the directory that holds `rota`; the copy is broken as `broken` says."""
    shutil.copytree(sources / "rota", into / "rota", ignore=shutil.ignore_patterns("__pycache__"))
    for breakage in () if broken is None else BREAKAGES[broken]:
        file = into / breakage.file
        text = file.read_text(encoding="utf-8")
        if breakage.old not in text:
            raise AssertionError(f"{broken}: {breakage.file} does not hold {breakage.old!r} any more")
        file.write_text(text.replace(breakage.old, breakage.new), encoding="utf-8")
    return into
