"""Holding a lock by the API: acquire with patience, renew from a thread, release.

The renewing thread may hang in a request for longer than the lock lasts; whoever watches `trust` is not held up by it.
"""

import threading
from urllib.parse import quote

from msgspec import Struct

from rota.client.http import ApiClient, ApiError
from rota.core.lock_trust import LockTrust
from rota.ports.clock import Clock

WAIT_SLICE_SECONDS = 20.0
RETRY_SECONDS = 0.5
RENEW_RETRY_SHARE = 0.1
UNDECIDED_STATUSES = frozenset({0, 429, 500, 502, 503, 504})
"""Answers that say nothing of the lock: another try may be granted."""


class Wanted(Struct, frozen=True):
    """What is asked for; `key` makes a repeated request the same one."""

    name: str
    holder: str
    ttl_seconds: float
    key: str

    def path(self, verb: str) -> str:
        return f"/locks/{quote(self.name, safe='')}/{verb}"


class HeldLock:
    """A lock that is held. `start` renews it until `stop`; `refused` once the store says that it is lost."""

    def __init__(self, client: ApiClient, wanted: Wanted, token: int, clock: Clock) -> None:
        self._client = client
        self._wanted = wanted
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name="lock renewals", daemon=True)
        self.token = token
        self.refused = False
        self.trust = LockTrust(clock.monotonic_seconds() - wanted.ttl_seconds, wanted.ttl_seconds)

    def renew(self) -> None:
        """Raises ApiError."""
        sent_at = self._clock.monotonic_seconds()
        body = {"token": self.token, "holder": self._wanted.holder, "ttl_seconds": self._wanted.ttl_seconds}
        self._client.call("POST", self._wanted.path("renew"), body=body)
        self.trust = LockTrust(sent_at, self._wanted.ttl_seconds)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No renewal begins after this; one may be in flight."""
        self._stopped.set()

    def release(self) -> None:
        """Raises ApiError."""
        body = {"token": self.token, "holder": self._wanted.holder}
        self._client.call("POST", self._wanted.path("release"), body=body)

    def _renew_until_stopped(self) -> None:
        pause = self.trust.renew_at - self._clock.monotonic_seconds()
        while not self._stopped.wait(max(0.0, pause)):
            try:
                self.renew()
            except ApiError as failed:
                if failed.status not in UNDECIDED_STATUSES:
                    self.refused = True
                    return
                pause = RENEW_RETRY_SHARE * self._wanted.ttl_seconds
            else:
                pause = self.trust.renew_at - self._clock.monotonic_seconds()


def acquire(client: ApiClient, wanted: Wanted, wait_seconds: float, clock: Clock) -> HeldLock:
    """Raises ApiError, with LOCK_HELD where it was held until the end of `wait_seconds`.

    It is renewed at once, so that its time is counted from then and not from before the wait.
    """
    deadline = clock.monotonic_seconds() + wait_seconds
    pause = threading.Event()
    while True:
        left = max(0.0, deadline - clock.monotonic_seconds())
        try:
            token = _ask(client, wanted, min(left, WAIT_SLICE_SECONDS))
            held = HeldLock(client, wanted, token, clock)
            held.renew()
        except ApiError as refused:
            may_change = refused.status in UNDECIDED_STATUSES or refused.code in {"LOCK_HELD", "LOCK_LOST"}
            if not may_change or clock.monotonic_seconds() >= deadline:
                raise
            if refused.code != "LOCK_HELD":
                pause.wait(RETRY_SECONDS)
        else:
            return held


def _ask(client: ApiClient, wanted: Wanted, wait_seconds: float) -> int:
    body = {"holder": wanted.holder, "ttl_seconds": wanted.ttl_seconds, "wait_seconds": wait_seconds}
    answer = client.call("POST", wanted.path("acquire"), body=body, headers={"Idempotency-Key": wanted.key})
    return int(answer.body["token"])
