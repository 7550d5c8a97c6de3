import pytest

from rota.api.tenancy import acting_tenant, refuse_other_tenant
from rota.domain.errors import DomainError
from rota.domain.ids import TenantId, TokenId
from rota.domain.tenancy import ROLES, Principal, Role

ACME = TenantId("acme")


def who(role: Role) -> Principal:
    return Principal(TokenId("t"), "ada", ACME, role)


@pytest.mark.parametrize("role", ROLES)
def test_without_a_header_the_tenant_is_the_tokens_own(role: Role) -> None:
    assert acting_tenant(who(role), None) == ACME
    assert acting_tenant(who(role), "acme") == ACME


@pytest.mark.parametrize("role", [role for role in ROLES if role != "platform_admin"])
def test_naming_another_tenant_is_forbidden_below_platform_admin(role: Role) -> None:
    with pytest.raises(DomainError) as refused:
        acting_tenant(who(role), "globex")
    assert refused.value.code == "TENANT_FORBIDDEN"


def test_a_platform_admin_names_another_tenant_by_the_header() -> None:
    assert acting_tenant(who("platform_admin"), "globex") == "globex"


@pytest.mark.parametrize("name", ["", " ", " globex", "x" * 201])
def test_what_is_no_canonical_tenant_id_is_forbidden_to_everybody(name: str) -> None:
    with pytest.raises(DomainError) as refused:
        acting_tenant(who("platform_admin"), name)
    assert refused.value.code == "TENANT_FORBIDDEN"


@pytest.mark.parametrize("named", ["globex", "", None, 7, ["acme"], "ACME"])
def test_a_tenant_in_a_body_or_query_must_be_the_one_acted_on(named: object) -> None:
    with pytest.raises(DomainError) as refused:
        refuse_other_tenant(ACME, named, "the body's tenant_id")
    assert refused.value.code == "TENANT_FORBIDDEN"
    refuse_other_tenant(ACME, "acme", "the body's tenant_id")
