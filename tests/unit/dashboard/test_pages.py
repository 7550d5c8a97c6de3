"""Pages over the memory stores: that they render what there is. How they look and work, the browser tests tell."""

from datetime import UTC, datetime
from typing import Any, cast

from msgspec import structs

from rota.dashboard.pages import DashboardPorts, Pages
from rota.domain.binding import Binding, BindingKey, RecordedChange, ScheduleTemplate
from rota.domain.flag import FlagChange
from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import AuditEntry, Principal, Tenant
from rota.storage.memory.bindings import MemoryBindingStore, MemoryTemplateStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.flags import MemoryFlagStore
from rota.storage.memory.schedules import MemoryScheduleStore
from tests.contract.stores import NumberedIds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME = TenantId("acme")
TOLD = RecordedChange((), ())


async def test_bindings_are_shown_with_what_they_lack() -> None:
    database = MemoryDatabase(lambda: NOW, NumberedIds())
    database.tenants[ACME] = Tenant(ACME, "Acme", NOW, "root")
    bindings = MemoryBindingStore(database)
    schedules, flags = MemoryScheduleStore(database), MemoryFlagStore(database)
    nothing = cast("Any", None)
    ports = DashboardPorts(schedules, nothing, nothing, bindings, flags, nothing, nothing)
    viewer = Principal(TokenId("t"), "ada", ACME, "viewer")
    assert "No binding yet" in await Pages(ports).bindings(viewer, "bindings.html")
    template = ScheduleTemplate(ACME, "daily", 1, {}, {}, "", NOW, "ada", NOW, "ada")
    await MemoryTemplateStore(database).put_if_version(template, 0, TOLD)
    binding = Binding(ACME, BindingKey("account", "<site>"), "daily", {}, 1, NOW, "ada", NOW, "ada", 1)
    await bindings.put_if_revision(binding, 0, TOLD)
    await bindings.put_if_revision(structs.replace(binding, key=BindingKey("account", "b")), 0, TOLD)
    shown = await Pages(ports).bindings(viewer, "bindings_body.html")
    assert "&lt;site&gt;" in shown
    assert shown.count("missing</span>") == 2


async def test_the_header_says_what_is_switched_off() -> None:
    database = MemoryDatabase(lambda: NOW, NumberedIds())
    database.tenants[ACME] = Tenant(ACME, "Acme", NOW, "root")
    schedules, flags = MemoryScheduleStore(database), MemoryFlagStore(database)
    bindings = MemoryBindingStore(database)
    nothing = cast("Any", None)
    pages = Pages(DashboardPorts(schedules, nothing, nothing, bindings, flags, nothing, nothing))
    viewer, audit = Principal(TokenId("t"), "ada", ACME, "viewer"), AuditEntry("root", "switch_off", "flag", "firing")
    assert "firing is off" not in await pages.bindings(viewer, "bindings.html")
    await flags.change(ACME, "firing", FlagChange(enabled=False), audit)
    shown = await pages.bindings(viewer, "bindings.html")
    assert "firing is off</strong>" in shown
    await flags.change(None, "firing", FlagChange(enabled=False), audit)
    assert "firing is off for all tenants</strong>" in await pages.bindings(viewer, "bindings.html")
    assert "firing is off" not in pages.render("login.html", problem=None)
