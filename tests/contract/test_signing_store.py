import asyncio
from datetime import timedelta

import pytest
from msgspec import structs

from rota.domain.errors import DomainError
from rota.domain.ids import SigningSecretId, TenantId
from rota.domain.page import PageRequest
from rota.domain.signing import SigningSecret
from rota.domain.tenancy import AuditEntry
from rota.ports.signing_store import SigningKeys, SigningSecretStore
from rota.ports.tenant_store import EventFilter
from rota.storage.memory.signing_secrets import MemorySigningSecretStore
from rota.storage.postgres.signing_secrets import PostgresSigningKeys, PostgresSigningSecretStore
from tests.contract.records import ACME, GLOBEX, new_id
from tests.contract.stores import START, Stores

CREATE = AuditEntry("ada", "create", "signing_secret", "s", "req-1")
RETIRE = AuditEntry("ada", "retire", "signing_secret", "s", "req-2")


@pytest.fixture
def signing(backend: str, stores: Stores, request: pytest.FixtureRequest) -> SigningSecretStore:
    del stores
    if backend == "memory":
        return MemorySigningSecretStore(request.getfixturevalue("memory_database"))
    return PostgresSigningSecretStore(request.getfixturevalue("api_pool"))


@pytest.fixture
def keys(backend: str, signing: SigningSecretStore, request: pytest.FixtureRequest) -> SigningKeys:
    if isinstance(signing, MemorySigningSecretStore):
        return signing
    return PostgresSigningKeys(request.getfixturevalue("service_pool"))


def secret(name: str = "billing", tenant_id: TenantId = ACME) -> SigningSecret:
    return SigningSecret(SigningSecretId(new_id()), tenant_id, name, START, "ada")


async def test_the_keys_of_a_name_are_those_of_its_live_secrets_the_newest_first(
    signing: SigningSecretStore, keys: SigningKeys
) -> None:
    old, new = await signing.create(secret(), b"old", CREATE), await signing.create(secret(), b"new", CREATE)
    await signing.create(secret("other"), b"other", CREATE)
    await signing.create(secret(tenant_id=GLOBEX), b"foreign", CREATE)
    wanted = [(ACME, "billing"), (ACME, "unknown"), (GLOBEX, "billing")]
    assert await keys.live_keys(wanted) == {(ACME, "billing"): (b"new", b"old"), (GLOBEX, "billing"): (b"foreign",)}
    await signing.retire(ACME, old.id, RETIRE)
    assert await keys.live_keys(wanted[:1]) == {(ACME, "billing"): (b"new",)}
    await signing.retire(ACME, new.id, RETIRE)
    assert await keys.live_keys(wanted[:1]) == {}


async def test_a_third_live_secret_of_a_name_is_refused_until_one_is_retired(signing: SigningSecretStore) -> None:
    first = await signing.create(secret(), b"1", CREATE)
    await signing.create(secret(), b"2", CREATE)
    with pytest.raises(DomainError, match="retire the older one first") as refused:
        await signing.create(secret(), b"3", CREATE)
    assert refused.value.code == "STATE_CONFLICT"
    await signing.retire(ACME, first.id, RETIRE)
    await signing.create(secret(), b"3", CREATE)


async def test_of_many_made_at_once_two_are_live(signing: SigningSecretStore, keys: SigningKeys) -> None:
    outcomes = await asyncio.gather(
        *(signing.create(secret(), bytes([number]), CREATE) for number in range(6)), return_exceptions=True
    )
    assert sum(isinstance(one, SigningSecret) for one in outcomes) == 2
    assert len((await keys.live_keys([(ACME, "billing")]))[ACME, "billing"]) == 2


async def test_retiring_is_recorded_once_and_keeps_the_record(stores: Stores, signing: SigningSecretStore) -> None:
    made = await signing.create(secret(), b"1", CREATE)
    assert made.created_at == START
    await stores.clock.advance(3)
    retired = await signing.retire(ACME, made.id, RETIRE)
    assert retired == structs.replace(made, retired_at=START + timedelta(seconds=3))
    await stores.clock.advance(3)
    assert await signing.retire(ACME, made.id, RETIRE) == retired
    assert (await signing.page(ACME, PageRequest())).items == (retired,)
    events = await stores.events.after(EventFilter(ACME, subject=made.id), None, 10)
    assert [(event.type, event.data) for event in events] == [
        ("SigningSecretCreated", {"name": "billing"}),
        ("SigningSecretRetired", {"name": "billing"}),
    ]
    audit = [one for one in await stores.audit.audit_of(ACME) if one.resource == "signing_secret"]
    assert audit == [CREATE, RETIRE]


async def test_anothers_secret_is_unknown(signing: SigningSecretStore, keys: SigningKeys) -> None:
    made = await signing.create(secret(), b"1", CREATE)
    for unknown in (made.id, SigningSecretId(new_id()), SigningSecretId("nonsense")):
        with pytest.raises(DomainError) as refused:
            await signing.retire(GLOBEX, unknown, RETIRE)
        assert refused.value.code == "NOT_FOUND"
    assert (await signing.page(GLOBEX, PageRequest())).items == ()
    assert await keys.live_keys([(ACME, "billing")]) != {}


async def test_a_secret_of_no_tenant_is_refused(signing: SigningSecretStore) -> None:
    with pytest.raises(DomainError) as refused:
        await signing.create(secret(tenant_id=TenantId("nobody")), b"1", CREATE)
    assert refused.value.code == "NOT_FOUND"


async def test_secrets_are_paged_from_the_oldest(signing: SigningSecretStore) -> None:
    made = [await signing.create(secret(f"s{number}"), b"k", CREATE) for number in range(3)]
    first = await signing.page(ACME, PageRequest(limit=2))
    rest = await signing.page(ACME, PageRequest(limit=2, cursor=first.next_cursor))
    assert (first.items, first.total_count, rest.items, rest.next_cursor) == (
        tuple(made[:2]), 3, tuple(made[2:]), None,
    )  # fmt: skip
