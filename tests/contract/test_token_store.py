from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.errors import Bug, DomainError
from rota.domain.ids import TenantId, TokenId
from rota.domain.page import PageRequest
from rota.domain.tenancy import ROLES, AuditEntry, Principal
from rota.ports.tenant_store import EventFilter
from tests.contract.records import ACME, GLOBEX, new_id, token
from tests.contract.stores import START, Stores

CREATE = AuditEntry("ada", "create", "token", "t", "req-1")
REVOKE = AuditEntry("ada", "revoke", "token", "t", "req-2")


async def test_a_secret_authenticates_as_its_tokens_principal(stores: Stores) -> None:
    for role in ROLES:
        made = token(f"of {role}", role=role)
        assert await stores.tokens.create(made, role.encode(), CREATE) == made
        assert await stores.tokens.authenticate(role.encode()) == Principal(made.id, made.name, ACME, role)
    assert await stores.tokens.authenticate(b"unknown") is None
    assert await stores.tokens.authenticate(b"") is None


async def test_creation_and_revocation_are_events_and_audited(stores: Stores) -> None:
    made = token("ci")
    await stores.tokens.create(made, b"hash", CREATE)
    await stores.clock.advance(1)
    await stores.tokens.revoke(ACME, made.id, REVOKE)
    events = await stores.events.after(EventFilter(ACME, subject=made.id), None, 10)
    assert [(event.type, event.actor) for event in events] == [("TokenCreated", "ada"), ("TokenRevoked", "ada")]
    entries = await stores.audit.audit_of(ACME)
    assert [entry for entry in entries if entry.resource == "token"] == [CREATE, REVOKE]


async def test_a_token_stops_working_at_its_expiry(stores: Stores) -> None:
    await stores.tokens.create(token("brief", expires_at=START + timedelta(seconds=10)), b"hash", CREATE)
    await stores.clock.advance(9.999)
    assert await stores.tokens.authenticate(b"hash") is not None
    await stores.clock.advance(0.001)
    assert await stores.tokens.authenticate(b"hash") is None


async def test_a_revoked_token_stops_working_and_stays_listed(stores: Stores) -> None:
    made = token("ci")
    await stores.tokens.create(made, b"hash", CREATE)
    await stores.clock.advance(3)
    revoked = await stores.tokens.revoke(ACME, made.id, REVOKE)
    assert revoked == structs.replace(made, revoked_at=START + timedelta(seconds=3))
    assert await stores.tokens.authenticate(b"hash") is None
    assert (await stores.tokens.page(ACME, PageRequest())).items == (revoked,)


async def test_revoking_twice_changes_nothing_the_second_time(stores: Stores) -> None:
    made = token("ci")
    await stores.tokens.create(made, b"hash", CREATE)
    first = await stores.tokens.revoke(ACME, made.id, REVOKE)
    await stores.clock.advance(3)
    assert await stores.tokens.revoke(ACME, made.id, REVOKE) == first
    assert (await stores.audit.audit_of(ACME)).count(REVOKE) == 1


@pytest.mark.parametrize("unknown", [new_id(), "not-a-uuid"])
async def test_an_unknown_token_cannot_be_revoked(stores: Stores, unknown: str) -> None:
    with pytest.raises(DomainError) as refused:
        await stores.tokens.revoke(ACME, TokenId(unknown), REVOKE)
    assert refused.value.code == "NOT_FOUND"


async def test_another_tenants_token_answers_as_an_unknown_one(stores: Stores) -> None:
    theirs = token("theirs", GLOBEX)
    await stores.tokens.create(theirs, b"hash", CREATE)
    with pytest.raises(DomainError) as refused:
        await stores.tokens.revoke(ACME, theirs.id, REVOKE)
    assert refused.value.code == "NOT_FOUND"
    assert (await stores.tokens.page(ACME, PageRequest())).total_count == 0
    assert await stores.tokens.authenticate(b"hash") is not None


async def test_tokens_are_listed_the_oldest_first_in_pages(stores: Stores) -> None:
    made = [token(f"t{number}") for number in range(5)]
    for item in reversed(made):
        await stores.tokens.create(item, item.name.encode(), CREATE)
    first = await stores.tokens.page(ACME, PageRequest(limit=3))
    second = await stores.tokens.page(ACME, PageRequest(limit=3, cursor=first.next_cursor))
    assert [*first.items, *second.items] == made
    assert (first.total_count, first.has_more, second.has_more) == (5, True, False)
    assert (await stores.tokens.page(ACME, PageRequest(limit=3, offset=3))).items == second.items
    with pytest.raises(DomainError, match="is not a cursor"):
        await stores.tokens.page(ACME, PageRequest(cursor="WyJ4Il0"))


async def test_a_token_of_an_unknown_tenant_is_refused(stores: Stores) -> None:
    with pytest.raises(DomainError, match="there is no tenant 'initech'"):
        await stores.tokens.create(token("t", TenantId("initech")), b"hash", CREATE)


async def test_a_secret_is_given_out_once(stores: Stores) -> None:
    await stores.tokens.create(token("a"), b"hash", CREATE)
    with pytest.raises(Bug, match="given out twice"):
        await stores.tokens.create(token("b"), b"hash", CREATE)
