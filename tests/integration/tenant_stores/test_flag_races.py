"""A switch of a flag and who acts by it, stopped at the worst moment: between reading the flag and writing."""

import pytest

from rota.core.milestones import attempt
from rota.domain.flag import MILESTONES, FlagChange
from rota.domain.ids import TenantId
from rota.domain.milestone import Evidence, MilestoneStep
from rota.domain.tenancy import AuditEntry
from rota.domain.triggers import MilestoneTrigger
from rota.storage.postgres.driver import Connection, Pool
from rota.storage.postgres.evidence import PostgresEvidenceStore
from rota.storage.postgres.flags import PostgresFlagStore
from rota.storage.postgres.milestones import PostgresMilestoneStore
from tests.contract.records import ACME, GLOBEX, change, schedule, trigger
from tests.contract.stores import START, Stores
from tests.integration.tenant_stores.test_races import blocked

pytestmark = pytest.mark.both_engines

SWITCH = AuditEntry("ada", "switch_off", "flag", MILESTONES)
GENERATE = AuditEntry("leader", "generate", "milestone", "m")
OFF = FlagChange(enabled=False)
HOLD = "SELECT FROM scheduler.milestones FOR UPDATE"


@pytest.fixture
async def milestones(stores: Stores, api_pool: Pool) -> PostgresMilestoneStore:
    """With one that is due."""
    defined = schedule("reports", triggers=(trigger(MilestoneTrigger(name="AUTO_12H"), None),))
    await stores.schedules.insert_many(ACME, [defined], change())
    fact = Evidence(ACME, "installation", "site", START, START, "ada")
    await PostgresEvidenceStore(api_pool).record_once(fact, GENERATE)
    return PostgresMilestoneStore(api_pool)


async def generate(milestones: PostgresMilestoneStore) -> MilestoneStep:
    return await milestones.change(ACME, "AUTO_12H", "site", lambda look: attempt(look, "leader"), GENERATE)


@pytest.mark.parametrize("switched", [ACME, None])
async def test_a_switch_is_answered_when_who_read_the_flag_as_on_has_written(
    milestones: PostgresMilestoneStore,
    api_pool: Pool,
    service_pool: Pool,
    owner_pool: Pool,
    admin_connection: Connection,
    switched: TenantId | None,
) -> None:
    flags = PostgresFlagStore(api_pool, service_pool)
    async with admin_connection.transaction():
        await admin_connection.execute(HOLD)
        making = await blocked(owner_pool, generate(milestones))
        switching = await blocked(owner_pool, flags.change(switched, MILESTONES, OFF, SWITCH), waiting=2)
        await flags.change(GLOBEX, MILESTONES, OFF, SWITCH)
    assert (await making).draft is not None
    await switching
    assert (await generate(milestones)).draft is None
