"""Dice: one stream per purpose, so that a new use does not renumber the others."""

from typing import Protocol


class Rng(Protocol):
    """Uniform in [0, 1). Not for secrets."""

    def uniform(self) -> float: ...
