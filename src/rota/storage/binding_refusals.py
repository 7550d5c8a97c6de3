"""What the stores of templates and bindings answer alike."""

from rota.domain.binding import BINDINGS_PER_TENANT_MAX, TEMPLATES_PER_TENANT_MAX
from rota.domain.errors import DomainError


def put_refused(what: str, expected: int) -> DomainError:
    """The 412 of a template or binding that somebody else wrote meanwhile."""
    was = "was made" if expected == 0 else "has changed"
    return DomainError("VERSION_MISMATCH", f"the {what} {was} meanwhile")


def templates_exceeded() -> DomainError:
    return DomainError("QUOTA_EXCEEDED", f"a tenant may have {TEMPLATES_PER_TENANT_MAX} schedule templates")


def bindings_exceeded() -> DomainError:
    return DomainError("QUOTA_EXCEEDED", f"a tenant may have {BINDINGS_PER_TENANT_MAX} bindings")


def template_in_use(name: str) -> DomainError:
    detail = f"the template {name!r} is used by bindings; delete them, or declare them with another template"
    return DomainError("STATE_CONFLICT", detail)
