"""What a check says."""

from msgspec import Struct


class Violation(Struct, frozen=True, order=True):
    """One broken sentence. `subject` is the run, trigger, milestone or epoch that breaks it."""

    kind: str
    subject: str
    detail: str
