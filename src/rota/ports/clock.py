"""Time, as the process sees it. It measures durations and never decides who leads or what is due: the store's does."""

from typing import Protocol


class Clock(Protocol):
    """`monotonic_seconds` for durations and trust windows; `wall_ns` only for display and log stamps."""

    def monotonic_seconds(self) -> float: ...

    def wall_ns(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...
