from rota.domain.event import EventDraft
from rota.domain.page import PageRequest
from rota.ports.tenant_store import EventFilter
from rota.storage.postgres.driver import Connection
from tests.contract.records import ACME
from tests.contract.stores import Stores

RETRIED = EventFilter(ACME, types=("RunRetried",))


async def test_transactions_are_ordered_as_numbers_not_as_text(stores: Stores, admin_connection: Connection) -> None:
    """Transaction 9 comes before 10, though its text comes behind."""
    for txid in (100, 9, 10):
        await admin_connection.execute(
            "INSERT INTO scheduler.events (id, txid, tenant_id, type, subject)"
            " VALUES (gen_random_uuid(), $1::text::xid8, 'acme', 'RunRetried', $1::text)",
            str(txid),
        )
    for where in (RETRIED, EventFilter(None, types=("RunRetried",))):
        following = await stores.events.after(where, None, 10)
        assert [event.subject for event in following] == ["9", "10", "100"]
        assert await stores.events.after(where, following[0].cursor, 10) == following[1:]
        history = await stores.events.page(where, PageRequest(limit=2))
        assert [event.subject for event in history.items] == ["100", "10"]
        older = await stores.events.page(where, PageRequest(limit=2, cursor=history.next_cursor))
        assert [event.subject for event in older.items] == ["9"]


async def test_more_events_than_one_statement_takes_are_all_recorded(stores: Stores) -> None:
    drafts = tuple(EventDraft("RunRetried", ACME, str(number)) for number in range(20_001))
    await stores.events.append(drafts)
    history = await stores.events.page(RETRIED, PageRequest(limit=1))
    assert history.total_count == len(drafts)
