"""How a browser proves who it is: an API token in an HttpOnly cookie, put there by a form or by a single-use link.

The link (`/login?code=…`) spares the owner of a fresh `rota up` the copying of a token. A code works once, for a few
minutes, and lives in this process's memory alone; the token itself never stands in an address.
"""

from collections import OrderedDict

from msgspec import Struct

from rota.ports.clock import Clock
from rota.ports.ids import Ids

COOKIE_NAME = "rota_session"
COOKIE_SECONDS_MAX = 30 * 86_400
CODE_SECONDS = 900.0
CODES_MAX = 16


class _Code(Struct, frozen=True):
    """The token behind a code, and the monotonic second at which the code ends."""

    token: str
    ends_at_seconds: float


class SignInCodes:
    """Single-use codes for links. Issuing more than `CODES_MAX` drops the oldest."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    def issue(self, token: str) -> str:
        """A code that `redeem` will change for `token` once."""
        code = self._ids.new_secret()
        self._codes[code] = _Code(token, self._clock.monotonic_seconds() + CODE_SECONDS)
        while len(self._codes) > CODES_MAX:
            self._codes.popitem(last=False)
        return code

    def redeem(self, code: str) -> str | None:
        """The token, or None for a code that is unknown, used or too old."""
        kept = self._codes.pop(code, None)
        if kept is None or kept.ends_at_seconds < self._clock.monotonic_seconds():
            return None
        return kept.token
