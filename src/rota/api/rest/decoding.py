"""From the bytes of a request to the types of its endpoint; everything that is wrong names field, problem and remedy.

Text that PostgreSQL cannot store (a NUL character) is refused here, once, for every field of every body and query.
"""

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import fields

from rota.api.rest.endpoint import Endpoint
from rota.api.tenancy import refuse_other_tenant
from rota.core.input_reading import shape_problem
from rota.domain.errors import DomainError, invalid_input
from rota.domain.ids import TenantId
from rota.domain.problems import FieldProblem

JSON_CONTENT_TYPES = ("application/json", "application/merge-patch+json")
QUERY_PARAMETERS_MAX = 50
NESTING_MAX = 64
_NAMES_A_TENANT = frozenset({"tenant_id", "tenant"})


def read_body(endpoint: Endpoint, raw: bytes, content_type: str | None, tenant_id: TenantId) -> object:
    """The body as the endpoint's type. A tenant that it names must be the one acted on, and is then taken out."""
    if not raw.strip():
        if endpoint.names_tenant:
            raise _no_tenant()
        return _without_body(endpoint)
    _check_content_type(content_type)
    try:
        loose: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise DomainError("MALFORMED_REQUEST", f"the body is no JSON: {wrong}") from wrong
    if endpoint.names_tenant:
        _require_tenant(loose)
    _check_tenants(loose, tenant_id)
    if endpoint.names_tenant:
        loose = _with_tenant(loose, tenant_id)
    _check_text(loose)
    return _typed(loose, endpoint.body)


def _without_body(endpoint: Endpoint) -> object:
    if endpoint.body_required and endpoint.has_body:
        raise DomainError("MALFORMED_REQUEST", "the request has no body; send JSON")
    return endpoint.body()


def _check_content_type(content_type: str | None) -> None:
    kind = (content_type or JSON_CONTENT_TYPES[0]).partition(";")[0].strip().lower()
    if kind not in JSON_CONTENT_TYPES:
        raise DomainError("MALFORMED_REQUEST", f"the content type is {kind!r}; send application/json")


def _typed(loose: object, wanted: type[object]) -> object:
    try:
        return msgspec.convert(loose, wanted)
    except msgspec.ValidationError as wrong:
        raise invalid_input([shape_problem(str(wrong), wanted)]) from wrong


def _require_tenant(loose: object) -> None:
    """Of an object. Anything else is looked through for another's first."""
    if isinstance(loose, dict):
        named = cast("dict[str, Any]", loose).get("tenant_id")
        if not isinstance(named, str) or not named.strip():
            raise _no_tenant()


def _with_tenant(loose: object, tenant_id: TenantId) -> object:
    if not isinstance(loose, dict):
        raise _no_tenant()
    return {**cast("dict[str, Any]", loose), "tenant_id": tenant_id}


def _no_tenant() -> DomainError:
    problem = FieldProblem("tenant_id", "is missing, blank or no text", "send the id of the tenant")
    return DomainError("TENANT_CONTEXT_UNAVAILABLE", "the body's tenant_id is missing, blank or no text", [problem])


def _check_tenants(loose: object, tenant_id: TenantId) -> None:
    members = cast("list[Any]", loose) if isinstance(loose, list) else [loose]
    for member in members:
        if isinstance(member, dict) and "tenant_id" in member:
            named = cast("dict[str, Any]", member).pop("tenant_id")
            refuse_other_tenant(tenant_id, named, "the body's tenant_id")


def _check_text(loose: object) -> None:
    problems = list(_text_problems("", loose, 0))
    if problems:
        raise invalid_input(problems)


def _text_problems(path: str, value: object, depth: int) -> Iterator[FieldProblem]:
    if depth > NESTING_MAX:
        yield FieldProblem(path, f"is nested deeper than {NESTING_MAX} levels", "flatten it")
    elif isinstance(value, str):
        if "\0" in value:
            yield FieldProblem(path, "holds a NUL character", "take the character out")
    elif isinstance(value, dict):
        for key, one in cast("dict[str, Any]", value).items():
            here = f"{path}.{key}" if path else key
            if "\0" in key:
                yield FieldProblem(here.replace("\0", "\\0"), "has a NUL character in its name", "rename it")
            else:
                yield from _text_problems(here, one, depth + 1)
    elif isinstance(value, list):
        for position, one in enumerate(cast("list[Any]", value)):
            yield from _text_problems(f"{path}[{position}]", one, depth + 1)


def read_query(endpoint: Endpoint, raw: bytes, tenant_id: TenantId) -> object:
    """The query as the endpoint's type; a parameter that it does not know is an error, never ignored."""
    given = _pairs(raw)
    for name in _NAMES_A_TENANT & given.keys():
        refuse_other_tenant(tenant_id, given.pop(name), f"the query's {name}")
    known = {one.encode_name: one for one in fields(endpoint.query)}
    problems = [_unknown(name, tuple(known)) for name in given if name not in known]
    values: dict[str, Any] = {}
    for name in given.keys() & known.keys():
        try:
            values[known[name].name] = msgspec.convert(_text(name, given[name]), known[name].type, strict=False)
        except msgspec.ValidationError as wrong:
            problems.append(shape_problem(f"{wrong} - at `$.{name}`", endpoint.query))
    if problems:
        raise invalid_input(sorted(problems, key=lambda problem: problem.field))
    return endpoint.query(**values)


def _pairs(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_PARAMETERS_MAX)
    except ValueError as wrong:
        raise DomainError("MALFORMED_REQUEST", f"the query has more than {QUERY_PARAMETERS_MAX} parameters") from wrong
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise invalid_input([FieldProblem(name, "is given twice", "give it once")])
        given[name] = value
    return given


def _text(name: str, value: str) -> str:
    if "\0" in value:
        raise invalid_input([FieldProblem(name, "holds a NUL character", "take the character out")])
    return value


def _unknown(name: str, known: tuple[str, ...]) -> FieldProblem:
    listed = f"use one of: {', '.join(known)}" if known else "leave it out: this path takes no query"
    return FieldProblem(name, "is not a known query parameter", listed)
