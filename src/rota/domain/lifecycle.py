"""Lifecycles as data: one table per noun, from which the docs' diagrams are drawn and the SQL guards are tested.

A lifecycle decides which event moves which state where. It does not say who may cause the event nor how it is stored.
"""

from msgspec import Struct

from rota.domain.errors import Bug


class Transition(Struct, frozen=True):
    """`event` moves `source` to `target`; `reason` is the sentence for the docs."""

    source: str
    event: str
    target: str
    reason: str


class InvalidTransition(Bug):
    """An event that the state does not know. Callers that can meet one in normal work ask `allows` first."""


class Lifecycle(Struct, frozen=True):
    """All states and moves of one noun. `initial` are the states that something can be born in."""

    name: str
    initial: frozenset[str]
    terminal: frozenset[str]
    transitions: tuple[Transition, ...]

    @property
    def states(self) -> frozenset[str]:
        ends = {state for move in self.transitions for state in (move.source, move.target)}
        return self.initial | self.terminal | ends

    def allows(self, state: str, event: str) -> bool:
        return any(move.source == state and move.event == event for move in self.transitions)

    def next_state(self, state: str, event: str) -> str:
        """The state after `event`; raises `InvalidTransition` where the table has no such move."""
        for move in self.transitions:
            if move.source == state and move.event == event:
                return move.target
        raise InvalidTransition(f"{self.name}: {event!r} is not known in state {state!r}")
