"""The tables of the memory stores of templates and bindings."""

from dataclasses import dataclass, field

from rota.domain.binding import Binding, BindingKey, ScheduleTemplate
from rota.domain.ids import TenantId


@dataclass
class BindingTables:
    """What a binding's template and schedule are by now is not kept here; it is read where they are."""

    templates: dict[tuple[TenantId, str], ScheduleTemplate] = field(
        default_factory=dict[tuple[TenantId, str], ScheduleTemplate]
    )
    bindings: dict[tuple[TenantId, BindingKey], Binding] = field(
        default_factory=dict[tuple[TenantId, BindingKey], Binding]
    )
