"""Who leads, as one process sees it: a pure machine that is stepped with events and answers with effects.

**Authority.** The lease row in the store decides who leads, by the store's clock. What this machine believes is only a
reason to try: every write proves the term's epoch inside its own transaction (design laws 2 and 3), so a mistaken
belief costs a refused write and nothing else.

**Identity.** A term is (lease name, epoch, holder). `holder` is new in every process, so that a process that was
restarted does not take its predecessor's term for its own. Epochs grow with each take-over; they fall only when the
store itself does (a restored backup, a fail-over that lost commits), and then the holder still tells two terms apart.

**Trust window.** A term is trusted until *request sent* + what the lease had left − margin, on the monotonic clock.
Counted from the sending, because the store cannot have begun the lease earlier than that; an answer that was slow
therefore shortens the window and never stretches it. The margin pays for clocks that run at different rates. The
lease is renewed at a third of its length, so that two renewals may fail and the third still comes in time.

**Lost signals.** A standby sleeps until the holder's lease ends; `Nudged` (a predecessor resigned) merely wakes it
sooner and may be lost. Ticks may be late or too many. An answer of a request that belongs to another state is ignored.

**Failure.** A call that failed (`CallFailed`) proves nothing: trust ends at its deadline, not before, and calls are
repeated meanwhile. A refusal (the lease is another's, a fence was stale) is proof: trust ends at once. `Resign` gives
the lease back, so that a standby need not wait for its end.

    Standby ──AcquireAnswered(ours)──▶ Leader ──refused, or not renewed in time──▶ Standby
       └────────────Resign──▶ Resigned ◀──released, or failed── Resigning ◀──Resign──┘
"""

from typing import TypeAlias

from msgspec import Struct

from rota.core.dice import Dice
from rota.domain.errors import Bug
from rota.domain.ids import Epoch
from rota.domain.lease import Fence, Lease


class LeadershipPolicy(Struct, frozen=True):
    """One duty's lease. Invariant: a call that is never answered leaves time for another within the trust window."""

    lease_name: str
    holder: str
    lease_seconds: float = 2.5
    margin_seconds: float = 0.25
    call_seconds_max: float = 0.8
    retry_seconds: float = 0.15
    # Standbys that wake at the same expiry are spread over this.
    spread_seconds: float = 0.05

    @property
    def renew_seconds(self) -> float:
        return self.lease_seconds / 3


# Events: what has happened.


class Tick(Struct, frozen=True):
    """Time has passed: `wake_at` was reached, or may have been."""


class AcquireAnswered(Struct, frozen=True):
    """The store's answer to `Acquire`: the lease as it stands now, ours or another's."""

    lease: Lease
    sent_at: float


class RenewAnswered(Struct, frozen=True):
    """The store's answer to `Renew`; None where the term is over."""

    lease: Lease | None
    sent_at: float


class ReleaseAnswered(Struct, frozen=True):
    """The lease was given back, or was not ours any more."""


class CallFailed(Struct, frozen=True):
    """The outstanding call was not answered: whether it was carried out is unknown."""


class FenceRefused(Struct, frozen=True):
    """A write under this epoch was refused by the store."""

    epoch: Epoch


class Nudged(Struct, frozen=True):
    """The lease may have become free."""


class Resign(Struct, frozen=True):
    """This process stops."""


Event: TypeAlias = (
    Tick | AcquireAnswered | RenewAnswered | ReleaseAnswered | CallFailed | FenceRefused | Nudged | Resign
)

# Effects: what the shell is to do. Each call ends in an event; there is at most one outstanding.


class Acquire(Struct, frozen=True):
    """Ask for the lease."""


class Renew(Struct, frozen=True):
    """Prolong the term."""

    epoch: Epoch


class Release(Struct, frozen=True):
    """Give the term back."""

    epoch: Epoch


class Gained(Struct, frozen=True):
    """Tell the process that it leads."""

    fence: Fence


class Lost(Struct, frozen=True):
    """Tell the process that it leads no more, and why."""

    fence: Fence
    reason: str


class Ended(Struct, frozen=True):
    """Nothing is left to do; the shell may end."""


Effect: TypeAlias = Acquire | Renew | Release | Gained | Lost | Ended

NEVER = float("inf")

# States. `wake_at` is when the shell sends the next `Tick`, on the monotonic clock; `calling`: an answer is awaited.


class Standby(Struct, frozen=True):
    """Somebody else leads, or nobody. `again`: a nudge came that the outstanding answer may not know of."""

    ask_at: float
    calling: bool = False
    again: bool = False

    @property
    def wake_at(self) -> float:
        return NEVER if self.calling else self.ask_at


class Leader(Struct, frozen=True):
    """This process leads while now < `trusted_until`."""

    fence: Fence
    trusted_until: float
    renew_at: float
    calling: bool = False

    @property
    def wake_at(self) -> float:
        """An outstanding renewal leaves only the end of trust to wait for."""
        return self.trusted_until if self.calling else min(self.renew_at, self.trusted_until)


class Resigning(Struct, frozen=True):
    """Leads no more, and waits for the answer to its last call; `unreleased` is the term still to be given back."""

    unreleased: Epoch | None = None
    wake_at: float = NEVER


class Resigned(Struct, frozen=True):
    """The end."""

    wake_at: float = NEVER


State: TypeAlias = Standby | Leader | Resigning | Resigned
Step: TypeAlias = tuple[State, tuple[Effect, ...]]


def begin(now: float) -> Standby:
    """The first state: asks for the lease at its first tick."""
    return Standby(ask_at=now)


def trusted_fence(state: State, now: float) -> Fence | None:
    """The fence to act under; None unless this process may believe that it leads, now."""
    return state.fence if isinstance(state, Leader) and now < state.trusted_until else None


def step(state: State, event: Event, now: float, policy: LeadershipPolicy, dice: Dice) -> Step:
    """The state after `event`, and what is to be done. `now` is monotonic."""
    match state:
        case Standby():
            return _step_standby(state, event, now, policy, dice)
        case Leader():
            return _step_leader(state, event, now, policy, dice)
        case Resigning():
            return _step_resigning(state, event, policy)
        case Resigned():
            return state, ()


def _step_standby(state: Standby, event: Event, now: float, policy: LeadershipPolicy, dice: Dice) -> Step:
    match event:
        case Tick() if now < state.wake_at:
            return state, ()
        case Nudged() if state.calling:
            return Standby(state.ask_at, calling=True, again=True), ()
        case Tick() | Nudged():
            return Standby(now, calling=True), (Acquire(),)
        case AcquireAnswered():
            return _answered(state, event, now, policy, dice)
        case CallFailed():
            return Standby(now + policy.retry_seconds * (0.5 + dice.uniform())), ()
        case Resign():
            return (Resigning(), ()) if state.calling else (Resigned(), (Ended(),))
        case RenewAnswered():
            # The answer of a renewal whose term we had given up for lost. Asking again tells how the lease stands.
            return Standby(now), ()
        case ReleaseAnswered() | FenceRefused():
            return state, ()


def _answered(state: Standby, event: AcquireAnswered, now: float, policy: LeadershipPolicy, dice: Dice) -> Step:
    """Leads, if the lease is ours and the answer left trust of it; else sleeps until the lease ends."""
    lease, sent_at = event.lease, event.sent_at
    trusted_until = _trusted_until(lease, sent_at, policy)
    if lease.holder == policy.holder and now < trusted_until:
        # A lease that was ours already (its answer had been lost) is not prolonged by asking: it is renewed earlier.
        renew_at = sent_at + min(policy.lease_seconds, lease.remaining_seconds) / 3
        return Leader(lease.fence, trusted_until, renew_at), (Gained(lease.fence),)
    return Standby(now if state.again else _after_expiry(event, now, policy, dice)), ()


def _trusted_until(lease: Lease, sent_at: float, policy: LeadershipPolicy) -> float:
    return sent_at + min(policy.lease_seconds, lease.remaining_seconds) - policy.margin_seconds


def _after_expiry(event: AcquireAnswered, now: float, policy: LeadershipPolicy, dice: Dice) -> float:
    """When the lease ends at the earliest, and a little later, not to meet the other standbys there."""
    soonest = max(event.sent_at + event.lease.remaining_seconds, now + policy.spread_seconds)
    return soonest + policy.spread_seconds * dice.uniform()


def _step_leader(state: Leader, event: Event, now: float, policy: LeadershipPolicy, dice: Dice) -> Step:
    match event:
        case Resign():
            return _resign(state)
        case FenceRefused(epoch=epoch) if epoch == state.fence.epoch:
            return _lose(state, event, now, "a write under its fence was refused")
        case RenewAnswered(lease=None):
            return _lose(state, event, now, "the store refused to renew it")
        case _ if now >= state.trusted_until and not _prolongs(state, event, now, policy):
            return _lose(state, event, now, "it was not renewed in time")
        case RenewAnswered(lease=Lease() as lease, sent_at=sent_at):
            return _prolonged(state, lease, sent_at, policy), ()
        case CallFailed():
            renew_at = now + policy.retry_seconds * (0.5 + dice.uniform())
            return Leader(state.fence, state.trusted_until, renew_at), ()
        case Tick() if not state.calling and now >= state.renew_at:
            calling = Leader(state.fence, state.trusted_until, state.renew_at, calling=True)
            return calling, (Renew(state.fence.epoch),)
        case _:
            return state, ()


def _prolongs(state: Leader, event: Event, now: float, policy: LeadershipPolicy) -> bool:
    """Whether `event` is an answer that still leaves trust, although the old window has passed."""
    if not isinstance(event, RenewAnswered) or event.lease is None or event.lease.epoch != state.fence.epoch:
        return False
    return now < _trusted_until(event.lease, event.sent_at, policy)


def _prolonged(state: Leader, lease: Lease, sent_at: float, policy: LeadershipPolicy) -> Leader:
    if lease.fence != state.fence:
        raise Bug(f"term {state.fence} was renewed as {lease.fence}")
    trusted_until = max(state.trusted_until, _trusted_until(lease, sent_at, policy))
    return Leader(state.fence, trusted_until, sent_at + policy.renew_seconds)


def _lose(state: Leader, event: Event, now: float, reason: str) -> Step:
    """Back to standby. An answer that is still outstanding is awaited before the next question."""
    answered = isinstance(event, RenewAnswered | CallFailed)
    return Standby(now, calling=state.calling and not answered), (Lost(state.fence, reason),)


def _resign(state: Leader) -> Step:
    lost = Lost(state.fence, "it resigned")
    if state.calling:
        return Resigning(unreleased=state.fence.epoch), (lost,)
    return Resigning(), (lost, Release(state.fence.epoch))


def _step_resigning(state: Resigning, event: Event, policy: LeadershipPolicy) -> Step:
    """The last call is answered; a term that is ours is given back."""
    match event:
        case RenewAnswered(lease=Lease() as lease):
            return Resigning(), (Release(lease.epoch),)
        case AcquireAnswered(lease=lease) if lease.holder == policy.holder:
            return Resigning(), (Release(lease.epoch),)
        case CallFailed() if state.unreleased is not None:
            return Resigning(), (Release(state.unreleased),)
        case AcquireAnswered() | RenewAnswered() | ReleaseAnswered() | CallFailed():
            return Resigned(), (Ended(),)
        case Tick() | FenceRefused() | Nudged() | Resign():
            return state, ()
