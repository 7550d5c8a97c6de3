"""Ports for tests of the frame alone; whatever stores something is real and tested over PostgreSQL."""

from rota.domain.tenancy import Principal


class SteppedClock:
    """Moves only when it is told to, or slept on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic_seconds(self) -> float:
        return self.seconds

    def wall_ns(self) -> int:
        return int(self.seconds * 1e9)

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class CountingTokens:
    """Knows some hashes, and counts how often it is asked."""

    def __init__(self) -> None:
        self.known: dict[bytes, Principal] = {}
        self.asked_count = 0

    async def authenticate(self, secret_hash: bytes) -> Principal | None:
        self.asked_count += 1
        return self.known.get(secret_hash)
