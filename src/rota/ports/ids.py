"""Names for new things, and secrets for new credentials."""

from typing import Protocol


class Ids(Protocol):
    """`new_id` is a UUID as text (time-ordered, version 7); `new_secret` has at least 192 bits, URL-safe."""

    def new_id(self) -> str: ...

    def new_secret(self) -> str: ...
