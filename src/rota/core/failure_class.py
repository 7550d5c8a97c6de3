"""Which kind of trouble a failure was: the word that operators, alerts and the intervention rule group failures by.

Decided from the error's type, an HTTP status where there was one, and the words of its message, in that order of trust.
It never decides whether a run is tried again; `rota.core.retry` does, from the policy and the error's own flags.
"""

import re

from rota.domain.run import FailureClass

_BY_STATUS: dict[int, FailureClass] = {
    401: "auth", 403: "auth", 407: "auth",
    408: "timeout", 504: "timeout",
    429: "api_limit",
    400: "config", 404: "config", 405: "config", 410: "config", 415: "config", 422: "config",
    502: "network", 503: "network",
}  # fmt: skip

# Bare exception names: of Python, of its common clients, and of ours. A subclass carries its own name.
_BY_TYPE: dict[str, FailureClass] = {
    "TimeoutError": "timeout", "TimeoutExpired": "timeout", "ServerTimeoutError": "timeout", "ReadTimeout": "timeout",
    "ConnectTimeout": "timeout", "AttemptTimedOut": "timeout", "SoftTimeLimitExceeded": "timeout",
    "ConnectionError": "network", "ConnectionRefusedError": "network", "ConnectionResetError": "network",
    "ConnectionAbortedError": "network", "BrokenPipeError": "network", "gaierror": "network", "SSLError": "network",
    "ClientConnectorError": "network", "ClientConnectionError": "network", "ClientOSError": "network",
    "ServerDisconnectedError": "network", "ClientPayloadError": "network",
    "PermissionError": "auth", "AuthenticationError": "auth", "Unauthorized": "auth", "Forbidden": "auth",
    "RateLimitError": "api_limit", "RateLimited": "api_limit", "TooManyRequests": "api_limit",
    "QuotaExceeded": "api_limit",
    "ModuleNotFoundError": "config", "ImportError": "config", "FileNotFoundError": "config",
    "NotADirectoryError": "config",
    "UnknownTask": "config",
}  # fmt: skip

_STATUS_IN_TEXT = re.compile(r"\b(?:HTTP(?:/\d(?:\.\d)?)?|status(?: code)?)[ :=]+([1-5]\d\d)\b", re.IGNORECASE)


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_BY_WORDS: tuple[tuple[re.Pattern[str], FailureClass], ...] = (
    (_words(r"rate.?limit", r"too many requests", r"quota", r"throttl"), "api_limit"),
    (
        _words(r"unauthori[sz]ed", r"forbidden", r"access denied", r"permission denied", r"authenticat", r"credential"),
        "auth",
    ),
    (_words(r"api key", r"token (?:has )?expired"), "auth"),
    (_words(r"timed?[ -]?out", r"deadline exceeded"), "timeout"),
    (_words(r"connection (?:refused|reset|aborted|closed)", r"unreachable", r"broken pipe", r"bad gateway"), "network"),
    (_words(r"name or service not known", r"name resolution", r"service unavailable", r"certificate"), "network"),
    (_words(r"no module named", r"no such file", r"not configured", r"misconfigur", r"command not found"), "config"),
    (_words(r"missing (?:setting|environment|required)", r"invalid (?:config|setting)", r"not registered"), "config"),
)


def classify_failure(error_type: str, message: str, status: int | None = None) -> FailureClass:
    """`error_type` may be qualified; `status` is an HTTP status, else one is looked for in `message`."""
    by_type = _BY_TYPE.get(error_type.rpartition(".")[2])
    if by_type is not None:
        return by_type
    by_status = _BY_STATUS.get(_status_of(message) if status is None else status)
    if by_status is not None:
        return by_status
    for pattern, by_words in _BY_WORDS:
        if pattern.search(message):
            return by_words
    return "unknown"


def _status_of(message: str) -> int:
    found = _STATUS_IN_TEXT.search(message)
    return int(found[1]) if found else 0
