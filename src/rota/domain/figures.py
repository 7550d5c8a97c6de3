"""What alerts go by, of the whole platform, where no process can tell it from what it does itself."""

from msgspec import Struct


class PlatformFigures(Struct, frozen=True):
    """`waiting_seconds`: how long the run that has waited longest is due, and not begun. `uncounted_seconds`: how long
    ago the run ended that the statistics lack longest. `ended_count` and `failed_count` are of all that was ever
    counted. `stray_partitions_count`: histories with records whose day had no partition.
    """

    waiting_seconds: float = 0.0
    uncounted_seconds: float = 0.0
    ended_count: int = 0
    failed_count: int = 0
    stray_partitions_count: int = 0
