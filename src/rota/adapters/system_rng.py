"""The machine's dice: one generator per instance, so that each purpose can have its own stream."""

from random import Random


class SystemRng:
    """`rota.ports.rng.Rng`; give a seed to have the same throws again. Not for secrets."""

    def __init__(self, seed: int | str | None = None) -> None:
        self._random = Random(seed)  # noqa: S311 - spreads delays; secrets come from SystemIds

    def uniform(self) -> float:
        return self._random.random()
