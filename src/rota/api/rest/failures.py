"""Exceptions, of ours and of the framework, to problem answers.

A defect is logged with its traceback and shown as an id.
"""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from rota.api.problem import PROBLEM_CONTENT_TYPE, describe
from rota.api.rest.gate import STATE_REQUEST_ID, logged_path
from rota.api.rest.rendering import to_json
from rota.domain.errors import Bug, DomainError, RotaError

_log = structlog.get_logger("rota.api")

_CODES_OF_STATUS = {
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    415: "MALFORMED_REQUEST",
    429: "RATE_LIMITED",
}


def answer_failure(request: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    """The one exception handler of the application."""
    request_id = request.scope["state"].get(STATE_REQUEST_ID, "")
    kept: dict[str, str] = {}
    if isinstance(error, HTTPException):
        kept = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
        error = _ours(error)
    failure = describe(error, request_id, request.scope["path"])
    if failure.problem.status >= 500 and not (isinstance(error, RotaError) and not isinstance(error, Bug)):
        _log.error(
            "defect",
            request_id=request_id,
            method=request.method,
            path=logged_path(request.scope["path"]),
            exc_info=error,
        )
    return Response(
        to_json(failure.problem),
        status_code=failure.problem.status,
        headers=failure.headers | kept,
        media_type=PROBLEM_CONTENT_TYPE,
    )


def _ours(error: HTTPException) -> Exception:
    if error.status_code >= 500:
        return error
    return DomainError(_CODES_OF_STATUS.get(error.status_code, "MALFORMED_REQUEST"), error.detail)
