"""Pages over the memory stores: that they render what there is. How they look and work, the browser tests tell."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from msgspec import structs

from rota.dashboard.pages import DashboardPorts, Pages
from rota.domain.binding import Binding, BindingKey, RecordedChange, ScheduleTemplate
from rota.domain.check_in import CheckIn
from rota.domain.flag import MILESTONES, FlagChange
from rota.domain.graph_job import GraphJob
from rota.domain.ids import CheckInId, JobId, RunId, ScheduleId, TenantId, TokenId
from rota.domain.limit import Limit, LimitState
from rota.domain.milestone import Evidence, Milestone, MilestoneError
from rota.domain.page import Page
from rota.domain.policy_job import PolicyJob
from rota.domain.tenancy import AuditEntry, Principal, Tenant
from rota.storage.memory.bindings import MemoryBindingStore, MemoryTemplateStore
from rota.storage.memory.check_ins import MemoryCheckInStore
from rota.storage.memory.database import MemoryDatabase
from rota.storage.memory.flags import MemoryFlagStore
from rota.storage.memory.schedules import MemoryScheduleStore
from tests.contract.stores import NumberedIds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME = TenantId("acme")
TOLD = RecordedChange((), ())


class Listed:
    """A store that has these, whatever is asked."""

    def __init__(self, *items: object) -> None:
        self.items = items

    async def page(self, *_: object) -> Page[Any]:
        return Page(self.items, len(self.items), 50, 0)


def ports_of(database: MemoryDatabase, **given: object) -> DashboardPorts:
    known = {"schedules": MemoryScheduleStore(database), "flags": MemoryFlagStore(database)} | given
    return DashboardPorts(**{name: cast("Any", known.get(name)) for name in DashboardPorts.__struct_fields__})


def an_acme() -> MemoryDatabase:
    database = MemoryDatabase(lambda: NOW, NumberedIds())
    database.tenants[ACME] = Tenant(ACME, "Acme", NOW, "root")
    return database


VIEWER = Principal(TokenId("t"), "ada", ACME, "viewer")


async def test_bindings_are_shown_with_what_they_lack() -> None:
    database = an_acme()
    bindings, viewer = MemoryBindingStore(database), VIEWER
    ports = ports_of(database, bindings=bindings)
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
    database = an_acme()
    flags = MemoryFlagStore(database)
    pages = Pages(ports_of(database, bindings=MemoryBindingStore(database)))
    viewer, audit = VIEWER, AuditEntry("root", "switch_off", "flag", "firing")
    assert "firing is off" not in await pages.bindings(viewer, "bindings.html")
    await flags.change(ACME, "firing", FlagChange(enabled=False), audit)
    shown = await pages.bindings(viewer, "bindings.html")
    assert "firing is off</strong>" in shown
    await flags.change(None, "firing", FlagChange(enabled=False), audit)
    assert "firing is off for all tenants</strong>" in await pages.bindings(viewer, "bindings.html")
    assert "firing is off" not in pages.render("login.html", problem=None)


MILESTONE = Milestone(ACME, "AUTO_12H", "<site>", "waiting", ScheduleId("s"), NOW - timedelta(hours=1))
TRIED = structs.replace(
    MILESTONE,
    name="AUTO_24H",
    attempts_count=2,
    attempts_total=5,
    backoff_until=NOW + timedelta(minutes=90),
    last_attempt_at=NOW - timedelta(minutes=30),
    last_error=MilestoneError("401 from <api>", "HTTPError", "auth"),
    run_id=RunId("r"),
)


async def test_milestones_are_shown_by_state_with_times_error_and_evidence() -> None:
    fact = Evidence(ACME, "installation", "<site>", NOW, NOW, "ada")
    pages = Pages(ports_of(an_acme(), milestones=Listed(MILESTONE, TRIED), evidence=Listed(fact)))
    shown = await pages.milestones(VIEWER, "milestones.html")

    assert "<site>" not in shown
    for said in ("due</span>", "backing off</span>", "401 from &lt;api&gt;", "auth", "in 1 h", "2 attempts so far"):
        assert said in shown, said
    assert "01 Mar 11:00 UTC" in shown
    assert 'data-refresh="/milestones?fragment=true"' in shown
    assert "installation" in shown
    held = structs.replace(MILESTONE, held_since=NOW, due_at=NOW)
    for is_off, said in ((True, "begins when the flag milestones is on again"), (False, "begins at once")):
        database = an_acme()
        audit = AuditEntry("ada", "switch", "flag", MILESTONES)
        await MemoryFlagStore(database).change(ACME, MILESTONES, FlagChange(enabled=not is_off), audit)
        ports = ports_of(database, milestones=Listed(held), evidence=Listed())
        page = await Pages(ports).milestones(VIEWER, "milestones_body.html")
        assert [one for one in ("begins when the flag milestones is on again", "begins at once") if one in page] == [
            said
        ]
    wanted = await pages.milestones(VIEWER, "milestones.html", "waiting")
    assert 'data-refresh="/milestones?state=waiting&amp;fragment=true"' in wanted
    assert (
        "state=" not in (await pages.milestones(VIEWER, "milestones.html", '"><b>')).partition("data-refresh")[2][:60]
    )


async def test_pages_with_nothing_on_them_say_what_to_do() -> None:
    ports = ports_of(
        an_acme(), **dict.fromkeys(("milestones", "evidence", "limits", "graph_jobs", "policy_jobs"), Listed())
    )
    pages, root = Pages(ports), Principal(TokenId("t"), "root", ACME, "platform_admin")

    assert "rota evidence record" in await pages.milestones(VIEWER, "milestones_body.html")
    assert "No milestone is in progress." in await pages.milestones(VIEWER, "milestones_body.html", "in_progress")
    assert "rota limit set" in await pages.limits(root, "limits_body.html")
    jobs = await pages.jobs(VIEWER, "jobs_body.html")
    assert "rota graph build" in jobs
    assert "rota policy run" in jobs


async def test_limits_are_the_platforms_alone() -> None:
    full = LimitState(Limit("queue", "mail", NOW, "root", 5), 5, 0)
    slow = LimitState(Limit("queue", "slow", NOW, "root", None, 0.5, 1), 3, 0)
    # Counted a moment before the last place was taken.
    nearly = LimitState(Limit("queue", "near", NOW, "root", 7), 6, 0)
    pages = Pages(ports_of(an_acme(), limits=Listed(full, slow, nearly)))

    shown = await pages.limits(Principal(TokenId("t"), "root", ACME, "platform_admin"), "limits.html")
    assert "5 of 5" in shown
    assert "others begin when one of the 5 ends" in shown
    assert "others begin when one of the 7 ends" in shown
    assert "0.5 begin each second" in shown
    assert 'href="/limits"' in shown
    refused = await pages.limits(structs.replace(VIEWER, role="admin"), "limits.html")
    assert "only a platform admin sees them" in refused
    assert "mail" not in refused
    assert 'href="/limits"' not in refused


async def test_jobs_are_shown_with_what_came_of_them_or_why_nothing_did() -> None:
    kept: dict[str, Any] = {"tenant_id": ACME, "priority": "high", "queue": "q", "created_at": NOW, "created_by": "ada"}
    built = GraphJob(
        id=JobId("1"), state="succeeded", kind="build", sbom_id="shop", summary={"components_count": 7}, **kept
    )
    broken = GraphJob(id=JobId("2"), state="failed", kind="overlay", reason="the <run> was lost", **kept)
    judged = PolicyJob(
        id=JobId("3"),
        state="succeeded",
        policy_id="P-7",
        policy_version="3",
        mode="full",
        graph_job_id=JobId("1"),
        replay_pending="new advisories",
        summary={"violations_by_severity": {"low": 1, "high": 2}, "violations_count": 3, "verdicts_count": 9},
        **kept,
    )
    pages = Pages(ports_of(an_acme(), graph_jobs=Listed(built, broken), policy_jobs=Listed(judged)))
    shown = await pages.jobs(VIEWER, "jobs.html")

    for said in (
        "7 components",
        "the &lt;run&gt; was lost",
        "3 violations (2 high, 1 low) · 9 verdicts",
        "to be replayed",
    ):
        assert said in shown, said


async def test_check_ins_are_shown_with_what_they_told_last_and_what_is_expected_next() -> None:
    database = an_acme()
    check_ins = MemoryCheckInStore(database)
    pages, viewer = Pages(ports_of(database, check_ins=check_ins)), VIEWER
    audit = AuditEntry("root", "create", "check_in", "c")
    assert "No check-in yet" in await pages.check_ins(viewer, "check_ins.html")

    made = CheckIn(CheckInId("1"), ACME, "<dump>", "0 2 * * *", "Europe/Paris", None, 300.0, "waiting", NOW, "ada")
    await check_ins.create(structs.replace(made, succeeded_at=NOW, expected_at=NOW), b"1", audit)
    for number, fields in (
        ("2", {"state": "missing", "missed_at": NOW}),
        ("3", {"state": "missing", "paused_at": NOW}),
    ):
        other = structs.replace(made, id=CheckInId(number), name=number, cron=None, every_seconds=60.0, **fields)
        await check_ins.create(other, number.encode(), audit)
    shown = await pages.check_ins(viewer, "check_ins_body.html")
    assert "&lt;dump&gt;" in shown
    assert "0 2 * * * · Europe/Paris" in shown
    assert re.findall(r'class="badge (\w+)"', shown) == ["missing", "paused", "waiting"]
    assert shown.count("missed <time") == 1
