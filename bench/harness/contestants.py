"""Who is measured, at which settings: for each the fastest of those that were tried on two processors."""

from collections.abc import Sequence

from msgspec import structs

from bench.harness.systems import System

ROTA_FINISHED = "SELECT count(*), avg(pg_column_size(r.*)) FROM scheduler.runs r WHERE state = 'succeeded'"
RAW_FINISHED = "SELECT count(*), avg(pg_column_size(r.*)) FROM raw_jobs r WHERE state = 2"
SLOTS = 1_000

ROTA = System("rota", "rota_workers", options={"slots": SLOTS}, finished_query=ROTA_FINISHED)
ROTA_AS_INSTALLED = structs.replace(ROTA, options={})
RAW = System("raw", "raw_sql", options={"batch": 100, "connections": 1}, finished_query=RAW_FINISHED)
RAW_BATCHES = (100, 500, 1_000)
RAW_CONNECTIONS = (1, 2, 3, 4)

PGQUEUER = System("pgqueuer", "pgqueuer_peer", "peers", {"batch": 1_000, "connections": 4})
AWA = System(
    "awa",
    "awa_peer",
    "peers",
    {"workers": 200, "batch": 128, "claimers": 2, "connections": 10, "poll_milliseconds": 200},
)
PROCRASTINATE = System("procrastinate", "procrastinate_peer", "peers", {"concurrency": 20, "connections": 10})
PEERS = (PGQUEUER, AWA, PROCRASTINATE)

# For latency nothing is gathered: small batches.
PROMPT_ROTA = ROTA_AS_INSTALLED
PROMPT_PEERS = (
    structs.replace(PGQUEUER, options={"batch": 10, "connections": 4}),
    structs.replace(
        AWA, options={"workers": 16, "batch": 16, "claimers": 1, "connections": 10, "poll_milliseconds": 10}
    ),
    PROCRASTINATE,
)


def raw_settings() -> Sequence[System]:
    """The limit at each of its settings; the best of them is the limit."""
    return [
        structs.replace(RAW, options={"batch": batch, "connections": connections})
        for batch in RAW_BATCHES
        for connections in RAW_CONNECTIONS
    ]
