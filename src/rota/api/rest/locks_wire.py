"""Locks on the wire: the query of the list. A lock's own record goes out as it is."""

from typing import Annotated

from msgspec import Meta

from rota.api.rest.page_wire import PageQuery

ACQUIRE_EXAMPLE = {"holder": "billing-7", "ttl_seconds": 30, "wait_seconds": 5}
RENEW_EXAMPLE = {"token": 1, "ttl_seconds": 30, "holder": "billing-7"}
RELEASE_EXAMPLE = {"token": 1, "holder": "billing-7"}


class LockQuery(PageQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which locks."""

    held: Annotated[bool | None, Meta(description="Only held ones, or only free ones.")] = None
