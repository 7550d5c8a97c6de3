from itertools import permutations

import msgspec
import pytest

from rota.domain.errors import DomainError
from rota.storage.postgres.logins import (
    DatabaseOptions,
    DatabaseUrls,
    Login,
    derive_password,
    password_in,
    resolve_urls,
    user_in,
    with_user,
)

ADMIN = "postgresql://boss:s%40cret@db1:5432,db2:5433/rota?target_session_attrs=read-write"
API_PASSWORD = "Cde9F0Q3cnsc-qpUaoqCxq1DN86mt3KdiKocqg-F8vE"


def urls_of(**options: str) -> DatabaseUrls:
    return resolve_urls(msgspec.convert(options, DatabaseOptions))


def problems_of(options: DatabaseOptions) -> list[tuple[str, str]]:
    with pytest.raises(DomainError) as caught:
        resolve_urls(options)
    return [(problem.field, problem.problem) for problem in caught.value.problems]


def test_a_derived_url_keeps_hosts_database_and_options() -> None:
    urls = urls_of(url=ADMIN)

    password = derive_password("s@cret", Login.API)
    assert urls.api == f"postgresql://rota_api:{password}@db1:5432,db2:5433/rota?target_session_attrs=read-write"
    assert urls.direct_owner == urls.owner
    assert not urls.pooled_by_transaction


def test_the_rule_of_derivation_never_changes() -> None:
    assert derive_password("s@cret", Login.API) == API_PASSWORD


def test_each_login_and_each_administrator_has_another_password() -> None:
    passwords = {derive_password(admin, login) for admin in ("one", "two") for login in Login}

    assert len(passwords) == 6


def test_two_databases_of_a_cluster_share_the_password_of_a_login() -> None:
    one, two = urls_of(url="postgresql://boss:pw@db/one"), urls_of(url="postgresql://boss:pw@db/two")

    assert password_in(one.service) == password_in(two.service)


def test_a_password_may_stand_in_the_query() -> None:
    urls = urls_of(url="postgresql://db/rota?user=boss&password=s%40cret&sslmode=require")

    assert password_in(urls.api) == API_PASSWORD
    assert user_in(urls.api) == "rota_api"
    assert urls.api.endswith("@db/rota?sslmode=require")


def test_a_socket_directory_is_kept() -> None:
    url = with_user("postgresql://boss:pw@/rota?host=/var/run/my%20sockets", "rota_api", "a/b@c")

    assert url == "postgresql://rota_api:a%2Fb%40c@/rota?host=/var/run/my+sockets"
    assert password_in(url) == "a/b@c"


def test_a_url_of_its_own_overrides_what_is_derived() -> None:
    own = "postgresql://my_api:pw@elsewhere/rota"

    urls = urls_of(url=ADMIN, api_url=own)

    assert urls.api == own
    assert user_in(urls.service) == "rota_service"


def test_three_urls_need_no_administrator() -> None:
    names = ("owner_url", "api_url", "service_url")
    given = {name: f"postgresql://{name}:pw@db/rota" for name in names}

    urls = urls_of(**given)

    assert (urls.owner, urls.api, urls.service) == tuple(given.values())
    assert urls.admin is None


def test_a_direct_url_leads_past_the_pooler_for_each_login() -> None:
    urls = urls_of(url="postgresql://boss:pw@pooler:6432/rota", direct_url="postgresql://db:5432/rota?sslmode=require")

    assert urls.pooled_by_transaction
    assert urls.direct_service == with_user(
        "postgresql://db:5432/rota?sslmode=require", "rota_service", derive_password("pw", Login.SERVICE)
    )
    assert urls.direct_admin == "postgresql://boss:pw@db:5432/rota?sslmode=require"


def test_behind_a_pooler_without_a_direct_url_nothing_is_direct() -> None:
    urls = resolve_urls(DatabaseOptions(url="postgresql://boss:pw@pooler/rota", pooled_by_transaction=True))

    assert (urls.direct_admin, urls.direct_owner, urls.direct_service) == (None, None, None)


def test_without_a_password_the_remedy_is_named() -> None:
    found = problems_of(DatabaseOptions(url="postgresql://boss@db/rota"))

    assert found == [("--database-url", "carries no password, from which the password of rota_owner would be derived")]


@pytest.mark.parametrize(("one", "other"), list(permutations(["owner_url", "api_url", "service_url"], 2)))
def test_a_missing_url_is_named(one: str, other: str) -> None:
    given = {one: "postgresql://a:b@db/rota", other: "postgresql://a:b@db/rota"}

    ((field, problem),) = problems_of(msgspec.convert(given, DatabaseOptions))

    assert problem == "is missing"
    assert field.removeprefix("--database-").replace("-", "_") not in given


@pytest.mark.parametrize("url", ["mysql://a:b@db/rota", "db.example", "", "postgresql://", "postgresql://[::1/rota"])
def test_what_is_no_postgres_url_is_refused_by_option(url: str) -> None:
    assert problems_of(DatabaseOptions(url=url, direct_url=url)) == [
        ("--database-url", "is not a PostgreSQL URL"),
        ("--database-direct-url", "is not a PostgreSQL URL"),
    ]
