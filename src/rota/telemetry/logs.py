"""Structured logs on standard error: readable on a terminal, one JSON object a line elsewhere. Secrets are masked.

Every process configures them once, at its start. A log line is for operators; what tenants see are events.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

_SECRET_NAMES = re.compile(r"token|secret|password|authorization|cookie", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"rota_[A-Za-z0-9_-]{20,}|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)")
_MASK = "***"

SERVER_FAILED_FROM = 500

LogLine = MutableMapping[str, Any]


def configure_logs(*, json_lines: bool | None = None, requests: bool = True) -> None:
    """Send structlog and the standard library's warnings to standard error. Safe to repeat.

    Without `requests` the line that each answered request leaves is left out, unless the server failed.
    """
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    renderer = _json_renderer() if as_json else _console_renderer()
    structlog.configure(
        processors=[
            *(() if requests else (_without_requests,)),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True) if as_json else _terminal_time(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            mask_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )
    _quieten_driver()


def _quieten_driver() -> None:
    """Its pool warns with a traceback of every connection that it does not get; who asked for one tells it better."""
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def _without_requests(_logger: object, _name: str, line: LogLine) -> LogLine:
    if line.get("event") == "request" and int(line.get("status") or 0) < SERVER_FAILED_FROM:
        raise structlog.DropEvent
    return line


def _terminal_time() -> structlog.processors.TimeStamper:
    """The reader's own clock, to the second."""
    return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)


def _json_renderer() -> structlog.processors.JSONRenderer:
    return structlog.processors.JSONRenderer(serializer=_json_line)


def _json_line(line: object, **_: object) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()


def _console_renderer() -> structlog.dev.ConsoleRenderer:
    """WARNING: never with pretty tracebacks, which print local variables and so headers and tokens."""
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def mask_secrets(_logger: object, _name: str, line: LogLine) -> LogLine:
    """Hide values of fields that are named like a secret, and texts that look like a token or hold a URL's password."""
    for name, value in line.items():
        if _SECRET_NAMES.search(name) and not name.endswith(("_id", "_count")):
            line[name] = _MASK
        elif isinstance(value, str):
            line[name] = _SECRET_TEXT.sub(_MASK, value)
    return line
