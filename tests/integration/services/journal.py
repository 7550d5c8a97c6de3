"""Who acted when, as the database saw it: kept by triggers that commit with what they witness, unknown to Rota.

An act is the advance of a schedule's trigger. A leader's process acts on sessions that carry its name, so an act under
the lease of somebody else is seen, whatever the process believed.
"""

from msgspec import Struct

from rota.storage.postgres.driver import Connection

_INSTALL = """
CREATE SCHEMA journal;
CREATE TABLE journal.acts (
    seq bigserial PRIMARY KEY, actor text NOT NULL, pid integer NOT NULL, epoch bigint, holder text);
CREATE TABLE journal.terms (seq bigserial PRIMARY KEY, epoch bigint NOT NULL, holder text NOT NULL);
CREATE FUNCTION journal.note_act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO journal.acts (actor, pid, epoch, holder)
        SELECT current_setting('application_name'), pg_backend_pid(), l.epoch, l.holder
          FROM (VALUES (1)) AS one
          LEFT JOIN scheduler.leases l ON l.name = 'leader' AND l.expires_at > scheduler.current_time();
        RETURN NULL;
    END $$;
CREATE FUNCTION journal.note_term() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF TG_OP = 'INSERT' OR (NEW.epoch, NEW.holder) IS DISTINCT FROM (OLD.epoch, OLD.holder) THEN
            INSERT INTO journal.terms (epoch, holder) VALUES (NEW.epoch, NEW.holder);
        END IF;
        RETURN NULL;
    END $$;
CREATE TRIGGER note_act AFTER UPDATE ON scheduler.triggers FOR EACH ROW EXECUTE FUNCTION journal.note_act();
CREATE TRIGGER note_term AFTER INSERT OR UPDATE ON scheduler.leases FOR EACH ROW EXECUTE FUNCTION journal.note_term();
"""


class Act(Struct, frozen=True):
    """One batch's advance of one trigger. `epoch` and `holder` are the lease's at that moment; None: nobody's."""

    actor: str
    pid: int
    epoch: int | None
    holder: str | None


class Journal:
    """What was witnessed so far."""

    def __init__(self, admin: Connection) -> None:
        self._admin = admin

    async def install(self) -> None:
        await self._admin.execute(_INSTALL)

    async def acts(self) -> list[Act]:
        rows = await self._admin.fetch("SELECT actor, pid, epoch, holder FROM journal.acts ORDER BY seq")
        return [Act(row["actor"], row["pid"], row["epoch"], row["holder"]) for row in rows]

    async def terms(self) -> list[tuple[int, str]]:
        """Each (epoch, holder) in the order in which they began."""
        rows = await self._admin.fetch("SELECT epoch, holder FROM journal.terms ORDER BY seq")
        return [(row["epoch"], row["holder"]) for row in rows]

    async def assert_one_leader_at_a_time(self) -> None:
        """Nobody acted under another's lease or under none, no process under two holders, and epochs only grew."""
        acts, terms = await self.acts(), await self.terms()
        assert acts, "nobody acted"
        assert [act for act in acts if act.holder is None] == []
        assert [act for act in acts if act.actor not in {act.holder, "rota leader"}] == []
        holders_of_pid: dict[int, set[str | None]] = {}
        for act in acts:
            holders_of_pid.setdefault(act.pid, set()).add(act.holder)
        assert {pid: holders for pid, holders in holders_of_pid.items() if len(holders) > 1} == {}
        epochs = [epoch for epoch, _ in terms]
        assert epochs == sorted(set(epochs))
