"""What storing a schedule has to do with calendars: hold those that it was planned by, and remember who uses which.

Lock order: calendars by name, then schedules. A schedule that names no calendar costs no statement here.
"""

from collections.abc import Sequence

import msgspec

from rota.domain.calendar import CALENDAR_SCHEDULES_MAX, CalendarDays, NamedCalendar
from rota.domain.ids import TenantId
from rota.domain.schedule import Schedule
from rota.storage.calendar_refusals import named_by, refuse_outdated, too_many_users
from rota.storage.postgres.driver import Connection, Row
from rota.storage.postgres.query_files import query

_SHARE_NAMED = query("calendars/share_named")
_REPLACE_USES = query("calendars/replace_uses")

_DAYS: msgspec.json.Decoder[CalendarDays] = msgspec.json.Decoder(CalendarDays)


def named_calendar(row: Row) -> NamedCalendar:
    return NamedCalendar(row["name"], row["version"], _DAYS.decode(row["days"]))


async def hold_calendars(connection: Connection, tenant_id: TenantId, schedules: Sequence[Schedule]) -> bool:
    """Whether any is used; those stay as they are until the transaction ends. Raises VERSION_MISMATCH."""
    used = named_by(schedules)
    if not used:
        return False
    rows = await connection.fetch(_SHARE_NAMED, tenant_id, sorted(used))
    refuse_outdated(tuple(used.values()), [named_calendar(row) for row in rows])
    return True


async def replace_uses(connection: Connection, tenant_id: TenantId, schedules: Sequence[Schedule]) -> None:
    """After `schedules` were stored. Raises QUOTA_EXCEEDED."""
    uses = [(name, schedule.id) for schedule in schedules for name in named_by((schedule,))]
    names, ids = [name for name, _ in uses], [schedule_id for _, schedule_id in uses]
    rows = await connection.fetch(_REPLACE_USES, tenant_id, [schedule.id for schedule in schedules], names, ids)
    for row in rows:
        if row["before_count"] + row["added_count"] > CALENDAR_SCHEDULES_MAX:
            raise too_many_users(row["calendar_name"])
