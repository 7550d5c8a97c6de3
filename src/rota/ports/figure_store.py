"""The platform's figures, read by the leader for its metrics."""

from typing import Protocol

from rota.domain.figures import PlatformFigures


class FigureStore(Protocol):
    """It looks across tenants, and writes nothing."""

    async def platform_figures(self) -> PlatformFigures:
        """Bounded: of runs that wait it looks at the first of each lane (queue, priority, tenant), for 2,000 lanes."""
        ...
