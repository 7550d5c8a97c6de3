"""A server that starts when the partitions that were made ahead are all used up."""

from pathlib import Path

from rota.storage.postgres.driver import Connection
from tests.integration.services.servers import ServerProcess
from tests.support.postgres import ClonedDatabase
from tests.support.settable_clock import SettableClock

DAYS = 30
_IN_DEFAULTS = "SELECT count(*) FROM scheduler.events_default"
_AHEAD = "SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhparent = 'scheduler.events'::regclass"


async def test_a_server_that_was_away_for_weeks_writes_nothing_where_it_would_be_in_the_way_of_a_partition(
    database: ClonedDatabase, admin_connection: Connection, test_clock: SettableClock, tmp_path: Path
) -> None:
    before = await admin_connection.fetchval(_AHEAD)
    await test_clock.advance(DAYS * 86_400)
    assert database.urls.admin is not None
    server = ServerProcess("server", database.urls.admin, tmp_path)
    try:
        await server.wait_ready()
    finally:
        server.end()

    assert await admin_connection.fetchval("SELECT count(*) FROM scheduler.events") > 0
    assert await admin_connection.fetchval(_IN_DEFAULTS) == 0
    assert await admin_connection.fetchval(_AHEAD) > before
