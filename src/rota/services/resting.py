"""How long to rest after a look whose cost nobody can bound, so that such looks take a small part of the time. Pure."""

from msgspec import Struct

REST_PER_SECOND = 40.0


class Rest(Struct):
    """One per kind of look. Only what took long twice in a row costs: a look may have waited for a slow network."""

    seconds: float = 0.0
    took_before_seconds: float = 0.0

    def looked(self, took_seconds: float) -> None:
        self.seconds = REST_PER_SECOND * min(took_seconds, self.took_before_seconds)
        self.took_before_seconds = took_seconds
