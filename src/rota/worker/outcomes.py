"""What a handler can say about its end besides returning a value or raising.

A failure that is returned counts exactly as one that is raised. Any exception not named here is a retryable failure,
unless the run's retry policy lists its type as non-retryable.
"""

from msgspec import Struct

from rota.domain.run import FailureClass


class Failure(Struct, frozen=True):
    """Returned by a handler that did not succeed. `retry_after_seconds` overrides the policy's next delay."""

    message: str
    retryable: bool = True
    retry_after_seconds: float | None = None
    failure_class: FailureClass = "unknown"


class HandlerVerdict(Exception):
    """Root of the exceptions by which a handler decides what becomes of its run."""


class Retry(HandlerVerdict):
    """The attempt failed; try again after `delay_seconds`, or by the policy where it is None."""

    def __init__(
        self, message: str = "the handler asked for another try", *, delay_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.delay_seconds = delay_seconds


class NonRetryable(HandlerVerdict):
    """The attempt failed, and no other try can succeed: the run fails now, whatever the policy."""


class SoftTimeout(Exception):
    """Raised in a handler at its soft time-out, where its task asks for that: finish soon. One that is not caught ends
    the attempt as timed out.
    """


class Cancel(HandlerVerdict):
    """The run is no longer wanted: it ends as `cancelled`. Also raised by `Context.check_cancelled`."""

    def __init__(self, message: str = "the handler cancelled its run") -> None:
        super().__init__(message)
