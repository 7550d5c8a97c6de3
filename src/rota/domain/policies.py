"""Policies: what a schedule promises about overlap, lateness, retries, time-outs and order. Values only.

`RunPolicy` is the part that a run carries away from its schedule, so that a later edit does not change a run in flight.
"""

from typing import Literal, TypeAlias

from msgspec import Struct, field

Overlap: TypeAlias = Literal["skip", "queue_one", "queue_all", "allow", "cancel_running"]
Misfire: TypeAlias = Literal["fire_once", "fire_all", "skip"]

PRIORITY_MIN = 0
PRIORITY_MAX = 9
ATTEMPTS_MAX_LIMIT = 1_000
CONCURRENCY_MAX_LIMIT = 10_000


class RetryPolicy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Either a list of delays (`delays_seconds`, one retry each) or base × factor^n up to cap, `attempts_max` in all.

    `delays_seconds` wins where it is given. `jitter` spreads each delay over [0, delay] ("full jitter").
    `non_retryable` are error type names (bare or qualified) that fail at once.
    """

    delays_seconds: tuple[float, ...] | None = None
    base_seconds: float = 5.0
    factor: float = 2.0
    cap_seconds: float = 120.0
    attempts_max: int = 5
    jitter: bool = False
    non_retryable: tuple[str, ...] = ()


class RunPolicy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one run is executed. The soft time-out asks the handler to stop, the hard one ends it.

    A `serial` run of a schedule never runs beside another serial one of it: it waits, in the order of claims.
    At most `concurrency_max` runs with its `concurrency_key`, or of its schedule where it has no key, run at once.
    """

    timeout_seconds: float = 3600.0
    soft_timeout_seconds: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    serial: bool = False
    concurrency_key: str | None = None
    concurrency_max: int | None = None


class InterventionPolicy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a schedule needs intervention: after `streak` failures in a row, or `window_count` within `window_seconds`.

    It resumes by itself `cool_off_seconds` later; None says never. With `is_off` it never stops.
    """

    streak: int = 3
    window_count: int = 5
    window_seconds: float = 7 * 86_400.0
    cool_off_seconds: float | None = 7 * 86_400.0
    is_off: bool = False


class Policies(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A schedule's policies. Misfire means late by more than the grace.

    `catch_up_max` and `catch_up_window_seconds` bound `fire_all`; `queue` and `priority` (0 to 9, 9 first) order runs.
    At most `concurrency_max` of the tenant's runs with `concurrency_key`, or of this schedule's, run at once.
    """

    overlap: Overlap = "skip"
    misfire: Misfire = "fire_once"
    misfire_grace_seconds: float = 3600.0
    catch_up_max: int = 100
    catch_up_window_seconds: float = 86_400.0
    timeout_seconds: float = 3600.0
    soft_timeout_seconds: float | None = None
    queue: str = "default"
    priority: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    intervention: InterventionPolicy = InterventionPolicy()
    concurrency_key: str | None = None
    concurrency_max: int | None = None

    def run_policy(self) -> RunPolicy:
        return RunPolicy(
            self.timeout_seconds,
            self.soft_timeout_seconds,
            self.retry,
            self.overlap != "allow",
            self.concurrency_key,
            self.concurrency_max,
        )
