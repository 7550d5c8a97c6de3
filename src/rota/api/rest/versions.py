"""Versions of objects as ETags: strong, quoted, and exactly the number that compare-and-swap goes by."""

import re

from rota.domain.errors import DomainError

_ETAG = re.compile(r'"(?P<version>[1-9][0-9]{0,17})"')
_ANY = "*"


def etag(version: int) -> str:
    return f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """The version that If-Match asks for; None for any (`*`, or no header). What is no ETag of ours matches nothing."""
    if if_match is None or if_match.strip() == _ANY:
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        detail = f'If-Match is {if_match!r}, which is no ETag of this object; one looks like "3"'
        raise DomainError("VERSION_MISMATCH", detail)
    return int(match["version"])
