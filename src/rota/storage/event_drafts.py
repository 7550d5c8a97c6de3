"""What may be recorded as an event, for every store alike: known types, and no tenant but the writer's own."""

from collections.abc import Iterable

from msgspec import structs

from rota.domain.errors import Bug
from rota.domain.event import EVENT_TYPES, EventDraft
from rota.domain.ids import TenantId


def refuse_unknown_types(drafts: Iterable[EventDraft]) -> tuple[EventDraft, ...]:
    """The drafts as they are. Raises Bug for a type that the catalogue lacks."""
    checked = tuple(drafts)
    unknown = sorted({draft.type for draft in checked} - EVENT_TYPES.keys())
    if unknown:
        raise Bug(f"event types {unknown} are not in the catalogue")
    return checked


def drafts_of_tenant(drafts: Iterable[EventDraft], tenant_id: TenantId) -> tuple[EventDraft, ...]:
    """The drafts as events of the tenant that writes them. Raises Bug for one that names another tenant."""
    owned = tuple(structs.replace(draft, tenant_id=tenant_id) if draft.tenant_id is None else draft for draft in drafts)
    foreign = sorted({str(draft.tenant_id) for draft in owned} - {tenant_id})
    if foreign:
        raise Bug(f"a transaction of tenant {tenant_id!r} may not record events of {foreign}")
    return owned
