"""How a bulk operation goes through its runs: state by state, newest first, never past what was expected."""

from collections.abc import Sequence

from rota.domain.run import RunState

CANCELLED_IN_BULK = "cancelled in bulk"


def states_left(states: Sequence[RunState], found_count: int, asked_count: int) -> tuple[RunState, ...]:
    """A batch that was not filled has come to the end of its state."""
    return tuple(states if found_count == asked_count else states[1:])
