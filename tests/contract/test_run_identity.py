from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from rota.core.run_identity import fire_key, idempotency_key
from rota.domain.errors import Bug
from rota.domain.ids import TenantId, TriggerId

AT = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)


def test_keys_never_change_between_versions() -> None:
    assert fire_key(TriggerId("t"), AT) == "1fde9465-b67e-060a-3da9-1ecdfc56e9e0"
    assert idempotency_key(TenantId("acme"), "runs", "k") == "ae143f89-337f-68cb-f5d0-16524638f38d"


def test_an_instant_has_one_key_in_every_zone() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert fire_key(TriggerId("t"), elsewhere) == fire_key(TriggerId("t"), AT)
    assert fire_key(TriggerId("t"), AT + timedelta(microseconds=1)) != fire_key(TriggerId("t"), AT)


def test_parts_cannot_be_moved_into_one_another() -> None:
    parts = [("ab", "c", "d"), ("a", "bc", "d"), ("a", "b", "cd"), ("", "abc", "d"), ("abc", "d", "")]

    assert len({idempotency_key(TenantId(tenant), scope, key) for tenant, scope, key in parts}) == len(parts)


def test_a_key_is_a_uuid_s_text() -> None:
    key = idempotency_key(TenantId("ü"), "runs", "\ud800")

    assert str(UUID(key)) == key


def test_a_time_without_a_zone_has_no_identity() -> None:
    with pytest.raises(Bug):
        fire_key(TriggerId("t"), datetime(2026, 3, 1))  # noqa: DTZ001 - what is refused
