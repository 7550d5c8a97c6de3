"""A newer version may have stored what this one cannot read: during an upgrade, or after it was taken back."""

import pytest
from structlog.testing import capture_logs

from rota.domain.ids import Epoch
from rota.domain.lease import Fence
from rota.services.firing import Firing
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.firing import PostgresFiringStore
from tests.unit.services.virtual_time import FixedLeadership, LoudWakeups

pytestmark = pytest.mark.both_engines

AT = '{"kind": "at", "at": "2026-01-01T00:00:00Z"}'
LUNAR = '{"kind": "lunar", "phase": "full"}'
_REGISTER = """
WITH made AS (
    INSERT INTO scheduler.schedules (id, tenant_id, name, enabled, target, policies, created_at, created_by, updated_at,
                                     updated_by)
    VALUES (gen_random_uuid(), 'acme', $1, true, '{"kind": "task", "task": "noop"}', $3::text::json,
            now(), 'test', now(), 'test')
    RETURNING id)
INSERT INTO scheduler.triggers (id, schedule_id, tenant_id, position, spec, anchor_at, next_fire_at)
SELECT gen_random_uuid(), id, 'acme', 1, $2::text::jsonb, '2026-01-01', '2026-01-01'
  FROM made
"""


async def test_what_a_newer_version_stored_waits_and_everything_else_fires(
    admin_connection: Connection, service_pool: Pool
) -> None:
    admin = admin_connection
    await admin.execute("INSERT INTO scheduler.tenants (id, name, created_by) VALUES ('acme', 'Acme', 'test')")
    await admin.execute("INSERT INTO scheduler.leases VALUES ('leader', 1, 'me', now(), now() + interval '1 day')")
    for name, spec, policies in (
        ("unknown kind", LUNAR, "{}"),
        ("unknown policy", AT, '{"overlap": "politely"}'),
        ("ordinary", AT, "{}"),
    ):
        await admin.execute(_REGISTER, name, spec, policies)
    leader = Firing(PostgresFiringStore(service_pool), FixedLeadership(Fence("leader", Epoch(1), "me")), LoudWakeups())

    with capture_logs() as told:
        first, second = await leader.fire_due(), await leader.fire_due()

    assert (first.runs_created, second.runs_created) == (1, 0)
    assert await admin.fetchval("SELECT count(*) FROM scheduler.triggers WHERE next_fire_at IS NOT NULL") == 2
    assert sorted(one["event"] for one in told) == ["trigger_unreadable", "trigger_unreadable"]
    assert {"lunar", "politely"} <= {word for one in told for word in str(one["problem"]).split("'")}
