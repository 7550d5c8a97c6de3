from typing import cast, get_args

import pytest
from msgspec.structs import replace

from rota.api.authz import LEAST_ROLE, Access, Resource, Verb, least_role, require
from rota.api.rest.app import ENDPOINTS
from rota.api.rest.gate import PUBLIC_PATHS, is_guarded
from rota.api.rest.routing import bind
from rota.api.rest.wiring import Services
from rota.domain.callback import CALLBACK_PATH
from rota.domain.errors import Bug, DomainError
from rota.domain.tenancy import ROLES


def test_every_row_of_the_table_is_used_by_a_route_and_every_route_has_a_row() -> None:
    assert {one.access for one in ENDPOINTS if one.access is not None} == set(LEAST_ROLE)


def test_every_resource_and_verb_that_has_a_name_is_in_the_table() -> None:
    assert {row.resource for row in LEAST_ROLE} == set(get_args(Resource))
    assert {row.verb for row in LEAST_ROLE} == set(get_args(Verb))


def test_a_row_that_is_missing_is_a_defect() -> None:
    with pytest.raises(Bug):
        least_role(Access("stats", "delete"))


def test_a_route_without_a_row_stops_the_start() -> None:
    stray = replace(ENDPOINTS[-1], access=Access("stats", "delete"))
    with pytest.raises(Bug, match="no row of the authorisation table"):
        bind(stray, cast("Services", None))


@pytest.mark.parametrize("access", sorted(LEAST_ROLE, key=str))
def test_a_role_may_do_what_a_lesser_one_may(access: Access) -> None:
    least = ROLES.index(least_role(access))
    for role in ROLES[least:]:
        require(role, access)
    for role in ROLES[:least]:
        with pytest.raises(DomainError, match=f"needs the role {ROLES[least]}; the token's is {role}") as refused:
            require(role, access)
        assert refused.value.code == "ROLE_FORBIDDEN"


def test_only_health_is_open_and_what_is_a_secret_itself() -> None:
    open_paths = {one.full_path for one in ENDPOINTS if one.access is None}
    assert open_paths == PUBLIC_PATHS | {f"{CALLBACK_PATH}{{callback_secret}}"}
    assert not any(is_guarded(path) for path in open_paths)
    assert all(is_guarded(one.full_path) for one in ENDPOINTS if one.access is not None)


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/health", "/api/v2/x", "/api/v1/callbacks", "/metrics", "/metrics/x"]
)
def test_unknown_paths_of_the_api_are_guarded_too(path: str) -> None:
    assert is_guarded(path)
