import pytest
from msgspec import structs

from rota.domain.errors import DomainError
from rota.domain.event import EventDraft
from rota.domain.page import PageRequest
from rota.ports.schedule_store import ScheduleFilter
from rota.ports.tenant_store import EventFilter
from tests.contract.records import ACME, audit, change, schedule, tenant, token
from tests.contract.stores import Stores

NUL = "a\x00b"


@pytest.mark.both_engines
async def test_text_that_postgresql_cannot_keep_is_refused_not_a_defect(stores: Stores) -> None:
    made = schedule("stored")
    await stores.schedules.insert_many(ACME, [made], change())
    for refused in (
        stores.schedules.insert_many(ACME, [schedule(NUL)], change()),
        stores.schedules.insert_many(ACME, [schedule("a", labels={"x": NUL})], change()),
        stores.schedules.insert_many(ACME, [schedule("a")], change(EventDraft("ScheduleCreated", data={"x": NUL}))),
        stores.schedules.save_if_version(structs.replace(made, name=NUL), 1, change()),
        stores.schedules.find_by_name(ACME, NUL),
        stores.schedules.page(ACME, ScheduleFilter(name_prefix=NUL), PageRequest()),
        stores.schedules.page(ACME, ScheduleFilter(label=("x", NUL)), PageRequest()),
        stores.tokens.create(token(NUL), b"hash", audit()),
        stores.tenants.create(tenant("b\x00"), audit()),
        stores.events.append((EventDraft("RunFailed", ACME, NUL),)),
        stores.events.page(EventFilter(ACME, subject=NUL), PageRequest()),
    ):
        with pytest.raises(DomainError) as caught:
            await refused
        assert caught.value.code == "INVALID_INPUT"
    assert (await stores.schedules.page(ACME, ScheduleFilter(), PageRequest())).items == (made,)
