"""What is wrong with a target. Whether its host may be reached is decided by the worker, after the name is resolved."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import get_args
from urllib.parse import SplitResult, urlsplit

from rota.core.fan_out_validation import fan_out_problems, selector_as_target
from rota.core.field_rules import (
    SECRET_NAME_RULE,
    TASK_RULE,
    choice_problems,
    first_unprintable,
    json_problems,
    number_problems,
    text_problems,
    under,
)
from rota.domain.problems import FieldProblem
from rota.domain.targets import Accept202, HttpMethod, HttpTarget, SegmentTarget, Target, TaskTarget

PAYLOAD_BYTES_MAX = 256 * 1024
URL_LENGTH_MAX = 2_048
HEADERS_MAX = 64
HEADER_VALUE_LENGTH_MAX = 8_192
CALLBACK_SECONDS_MIN = 1.0
CALLBACK_SECONDS_MAX = 30 * 86_400.0

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
# The worker's client writes these itself, from the target and the body.
_OWN_HEADERS = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_BODILESS = frozenset({"GET", "HEAD"})


def validate_target(target: Target) -> Iterator[FieldProblem]:
    if isinstance(target, SegmentTarget):
        remedy = "use kind task or http with `fan_out`: segments are made of it"
        yield FieldProblem("kind", "segment is made by fan-outs alone", remedy)
        return
    yield from _task_problems(target) if isinstance(target, TaskTarget) else _http_problems(target)
    yield from fan_out_problems(target)
    selector = None if target.fan_out is None else selector_as_target(target.fan_out)
    if selector is not None:
        yield from under("fan_out.selector", validate_target(selector))


def _task_problems(target: TaskTarget) -> Iterator[FieldProblem]:
    yield from text_problems("task", target.task, TASK_RULE)
    for name in target.args:
        if not name.isidentifier():
            problem = f"{name[:50]!r} cannot be a keyword argument"
            yield FieldProblem("args", problem, "use names of letters, digits and '_', not beginning with a digit")
            break
    yield from json_problems("args", target.args, PAYLOAD_BYTES_MAX)


def _http_problems(target: HttpTarget) -> Iterator[FieldProblem]:
    yield from _url_problems(target.url)
    yield from choice_problems("method", target.method, get_args(HttpMethod))
    yield from _headers_problems(target.headers)
    if target.body is not None and target.method in _BODILESS:
        yield FieldProblem("body", f"a {target.method} request carries none", "leave it out, or use method POST")
    yield from json_problems("body", target.body, PAYLOAD_BYTES_MAX)
    if target.signed_with is not None:
        yield from text_problems("signed_with", target.signed_with, SECRET_NAME_RULE)
    yield from _callback_problems(target)


def _callback_problems(target: HttpTarget) -> Iterator[FieldProblem]:
    yield from choice_problems("accept_202", target.accept_202, get_args(Accept202))
    seconds = target.callback_timeout_seconds
    if seconds is None:
        return
    yield from number_problems(
        "callback_timeout_seconds", seconds, CALLBACK_SECONDS_MIN, CALLBACK_SECONDS_MAX, "seconds"
    )
    if target.accept_202 != "callback":
        problem = "is given, but this target does not call back"
        yield FieldProblem("callback_timeout_seconds", problem, "leave it out, or give accept_202 callback")


def _url_problems(url: str) -> Iterator[FieldProblem]:
    if not 1 <= len(url) <= URL_LENGTH_MAX:
        problem = f"has {len(url)} characters" if url else "is empty"
        yield FieldProblem("url", problem, f"use 1 to {URL_LENGTH_MAX} characters, such as https://example.com/hook")
        return
    if first_unprintable(url) is not None or " " in url or "\\" in url:
        yield FieldProblem("url", "contains a space, a backslash or an unprintable character", "percent-encode it")
        return
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        yield FieldProblem("url", f"cannot be read: {error}", "use a form such as https://example.com:8443/hook")
        return
    yield from _parts_problems(parts, port)


def _parts_problems(parts: SplitResult, port: int | None) -> Iterator[FieldProblem]:
    if parts.scheme not in {"http", "https"}:
        yield FieldProblem("url", f"the scheme {parts.scheme!r} is not supported", "begin with https:// or http://")
    elif not parts.hostname:
        yield FieldProblem("url", "names no host", "use a form such as https://example.com/hook")
    elif parts.username is not None or parts.password is not None:
        yield FieldProblem("url", "contains a user name or password", "send credentials in a header")
    elif port == 0:
        yield FieldProblem("url", "names port 0", "use 1 to 65535, or leave the port out")
    elif _is_link_local(parts.hostname):
        problem = f"{parts.hostname} is a link-local address, which is never allowed"
        yield FieldProblem("url", problem, "use an address that is routed")


def _is_link_local(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_link_local


def _headers_problems(headers: dict[str, str]) -> Iterator[FieldProblem]:
    if len(headers) > HEADERS_MAX:
        yield FieldProblem("headers", f"has {len(headers)} entries", f"send at most {HEADERS_MAX}")
        return
    for name, value in headers.items():
        field = f"headers.{name[:64]}"
        if not _HEADER_NAME.fullmatch(name):
            yield FieldProblem(field, "is not the name of a header", "use letters, digits and '-'")
        elif name.lower() in _OWN_HEADERS:
            yield FieldProblem(field, "is written by the worker itself", "leave it out")
        if len(value) > HEADER_VALUE_LENGTH_MAX:
            remedy = f"use at most {HEADER_VALUE_LENGTH_MAX}"
            yield FieldProblem(field, f"has {len(value)} characters", remedy)
        elif not value.isascii() or not value.replace("\t", " ").isprintable():
            yield FieldProblem(field, "contains a line end, a control or a non-ASCII character", "remove or encode it")
