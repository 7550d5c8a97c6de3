"""Chance, as the core is handed it: the core throws no dice of its own, and a test can load them."""

from typing import Protocol


class Dice(Protocol):
    """Uniform in [0, 1). Every `rota.ports.rng.Rng` is one."""

    def uniform(self) -> float: ...
