"""How a browser proves who it is: an API token in an HttpOnly cookie, put there by a form or by a single-use link.

The link (`/login?code=…`) spares the owner of a fresh `rota up` the copying of a token. A code works once, for a few
minutes, and lives in this process's memory alone; the token itself never stands in an address.

What the cookie is allowed, and why:
- `SameSite=Lax`: a link to a run works from a chat or a mail. Other sites gain nothing by it, since pages only read,
  and the two posts are refused unless the browser says that they come from Rota's own pages.
- `Secure` exactly where the browser names an `https` origin in the sign-in form. `X-Forwarded-Proto` is not asked:
  anybody can send it. The link is made by `rota up` for its own plain address, so a cookie from it is not `Secure`.
- Its name has the port, since browsers share cookies among all ports of a host: one `rota up` does not sign its
  neighbour out.
"""

from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from rota.ports.clock import Clock
from rota.ports.ids import Ids

COOKIE_NAME = "rota_session"
COOKIE_SECONDS_MAX = 30 * 86_400
CODE_SECONDS = 900.0
CODES_MAX = 16

_OWN_FETCH_SITES = frozenset({"same-origin", "none"})


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


def cookie_name(headers: Mapping[str, str]) -> str:
    """The cookie's name for the address by which the browser came."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"{COOKIE_NAME}_{port}" if port.isascii() and port.isdigit() else COOKIE_NAME


def is_from_own_pages(headers: Mapping[str, str]) -> bool:
    """Whether a post was sent by a page of ours.

    `Sec-Fetch-Site` is the browser's own word and survives a proxy that renames the host; where it is not sent, the
    origin must be the host. A client that sends neither (curl) carries no cookie that could be abused.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in _OWN_FETCH_SITES
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def is_secure_origin(headers: Mapping[str, str]) -> bool:
    return headers.get("origin", "").lower().startswith("https://")
