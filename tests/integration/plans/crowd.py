"""A database with enough in it that a wrong plan shows: a backlog, a heap of future runs, history, due triggers."""

from uuid import UUID

from rota.storage.postgres.driver import Connection

TENANT = "acme"
BACKLOG_COUNT = 100_000
FUTURE_COUNT = 100_000
HISTORY_COUNT = 60_000
HELD_COUNT = 400
TRIGGERS_COUNT = 100_000
WAITING_COUNT = 10_000
TURNS_COUNT = 100_000
BLOCKED_SCHEDULE = str(UUID(int=0xB10C))
LIVE_WORKER = str(UUID(int=1))
GONE_WORKER = str(UUID(int=2))

_STATEMENTS = (
    "INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'Acme', 'test')",
    """
    INSERT INTO scheduler.workers (id, name, state, queues, slots, tasks, hostname, pid, version, started_at,
                                   heartbeat_at, lease_expires_at, is_cleared)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'w', CASE WHEN n = 1 THEN 'active' ELSE 'lost' END, '{default}', 400, '{}',
           'h', 1, '1', now(), now(), now() + CASE WHEN n = 1 THEN interval '1 day' ELSE interval '-1 hour' END,
           n > 2
      FROM generate_series(1, 2000) AS n
    """,
    f"""
    INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, schedule_id, priority, state, queue, reason, target,
                                policy, created_by, started_at, finished_at, attempts_count)
    SELECT scheduler.uuid7_nth(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + n / 1000), 12, '0')
                               || lpad(to_hex(n), 12, '0'), n),
           'acme', now(), now(),
           lpad(to_hex(n % 100), 32, '0')::uuid, 0,
           CASE WHEN n % 1000 = 0 THEN 'failed' WHEN n % 1000 = 1 THEN 'cancelled' ELSE 'succeeded' END, 'default', '',
           '{{"kind": "task", "task": "noop"}}', '{{}}', 'test', now(), now(), 1
      FROM generate_series(1, {HISTORY_COUNT}) AS n
    """,
    f"""
    INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, schedule_id, priority, state, queue, reason, target,
                                policy, created_by)
    SELECT scheduler.uuid7_nth(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + 1000 + n / 1000), 12, '0')
                               || lpad(to_hex(n), 12, '0'), n),
           'acme', now(), now() + CASE WHEN n > {BACKLOG_COUNT} THEN interval '1 day' ELSE interval '-1 minute' END,
           lpad(to_hex(n % 100), 32, '0')::uuid, CASE WHEN n > {BACKLOG_COUNT} THEN 9 ELSE 0 END, 'queued', 'default',
           '', '{{"kind": "task", "task": "noop"}}', '{{}}', 'test'
      FROM generate_series(1, {BACKLOG_COUNT + FUTURE_COUNT}) AS n
    """,
    """
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue,
                                     is_asleep)
    SELECT id, tenant_id, schedule_id, due_at, 60, priority, 'queued', queue, due_at > now()
      FROM scheduler.runs
     WHERE state = 'queued'
    """,
    f"""
    UPDATE scheduler.live_runs
       SET state = 'running', attempt_token = 1, attempts_count = 1, started_at = now(),
           hard_deadline_at = now() + interval '1 hour',
           worker_id = (CASE WHEN n <= {HELD_COUNT} THEN '{LIVE_WORKER}' ELSE '{GONE_WORKER}' END)::uuid
      FROM (SELECT run_id AS held, row_number() OVER (ORDER BY run_id) AS n FROM scheduler.live_runs
             ORDER BY run_id LIMIT {2 * HELD_COUNT}) AS first
     WHERE run_id = held
    """,
    f"""
    WITH made AS (
        INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by,
                                         updated_at, updated_by)
        SELECT gen_random_uuid(), 'acme', 'schedule ' || n, true, '{{"kind": "task", "task": "noop"}}', '{{}}', now(),
               'test', now(), 'test'
          FROM generate_series(1, {TRIGGERS_COUNT}) AS n
        RETURNING id)
    INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
    SELECT gen_random_uuid(), id, 'acme', 0, '{{"kind": "interval", "every_seconds": 60.0}}', now(),
           now() - interval '1 minute'
      FROM made
    """,
    "INSERT INTO scheduler.leases VALUES ('firing', 1, 'test', now(), now() + interval '1 day')",
    "VACUUM (ANALYZE) scheduler.runs, scheduler.live_runs, scheduler.workers, scheduler.triggers, scheduler.schedules",
)

# One schedule of which a serial run is running while ten thousand wait, ahead of all others, in the queue `serial`.
_WAITING = (
    f"""
    INSERT INTO scheduler.schedule_turns (schedule_id, tenant_id, is_taken)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'acme', n = {0xB10C} FROM generate_series(1, {TURNS_COUNT}) AS n
    """,
    f"""
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue,
                                     is_serial)
    SELECT gen_random_uuid(), 'acme', '{BLOCKED_SCHEDULE}', now() - interval '1 hour', 60, 9, 'queued', 'serial', true
      FROM generate_series(1, {WAITING_COUNT})
    """,
    """
    INSERT INTO scheduler.live_runs (run_id, tenant_id, due_at, timeout_seconds, priority, state, queue)
    SELECT gen_random_uuid(), 'acme', now() - interval '1 minute', 60, 0, 'queued', 'serial'
      FROM generate_series(1, 1000)
    """,
    f"""
    INSERT INTO scheduler.live_runs (run_id, tenant_id, schedule_id, due_at, timeout_seconds, priority, state, queue,
                                     is_serial, worker_id, started_at, hard_deadline_at, attempt_token, attempts_count)
    VALUES (gen_random_uuid(), 'acme', '{BLOCKED_SCHEDULE}', now() - interval '2 hours', 60, 9, 'running', 'serial',
            true, '{LIVE_WORKER}', now(), now() + interval '1 hour', 1, 1)
    """,
    """
    INSERT INTO scheduler.runs (id, tenant_id, created_at, due_at, schedule_id, priority, state, queue, reason, target,
                                policy, created_by)
    SELECT run_id, tenant_id, now(), due_at, schedule_id, priority, 'queued', queue, '',
           '{"kind": "task", "task": "noop"}', '{}', 'test'
      FROM scheduler.live_runs
    """,
    "VACUUM (ANALYZE) scheduler.live_runs, scheduler.schedule_turns",
)


async def crowd(admin: Connection) -> None:
    """Fills the database, as an administrator."""
    for statement in _STATEMENTS:
        await admin.execute(statement)


async def crowd_behind_one_turn(admin: Connection) -> None:
    """Adds what waits for one schedule's turn, none of it parked yet."""
    for statement in _WAITING:
        await admin.execute(statement)
