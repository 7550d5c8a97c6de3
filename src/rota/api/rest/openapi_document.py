"""The API description, OpenAPI 3.1, made from the endpoints: it cannot say what the routes do not do.

Types are described by the decoder's own rules, so that what the description allows is what is read.
"""

import re
from collections.abc import Iterable, Sequence
from inspect import cleandoc
from typing import Any

import msgspec
from msgspec.structs import fields

from rota.api.authz import least_role
from rota.api.problem import PROBLEM_CONTENT_TYPE, TYPE_PREFIX, Problem
from rota.api.rest.endpoint import NAMED_BY_TENANT, SECRETS, Endpoint
from rota.api.tenancy import TENANT_HEADER
from rota.domain.errors import CATALOGUE, ErrorMeaning

SECURITY_SCHEME = "token"
_REF = "#/components/schemas/{name}"
_PAGE_NAME = re.compile(r"PageBody_(\w+)_\Z")
_NAMES = NAMED_BY_TENANT | SECRETS | {"tenant_id"}
_ALWAYS = ("INTERNAL", "UNAVAILABLE", "INVALID_INPUT", "MALFORMED_REQUEST")
_GUARDED = ("UNAUTHENTICATED", "ROLE_FORBIDDEN", "TENANT_FORBIDDEN")

Json = dict[str, Any]


def api_description(endpoints: Sequence[Endpoint], version: str) -> Json:
    """The whole document, ready to be encoded."""
    describer = _Describer(endpoints)
    paths: Json = {}
    for one in endpoints:
        paths.setdefault(one.full_path, {})[one.method.lower()] = describer.operation(one)
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token, `rota_…`. It belongs to one tenant and has one role.",
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rota",
            "version": version,
            "description": "A roster for machines: schedules fire, runs execute. Every failure is problem+json.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{SECURITY_SCHEME: []}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(one) for one in endpoints)],
        "paths": paths,
        "components": {"schemas": describer.components, "securitySchemes": {SECURITY_SCHEME: scheme}},
    }


class _Describer:
    """Schemas of all types in use, each under its name."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._types: list[object] = [Problem]
        for one in endpoints:
            self._types += [kind for kind in (one.body, *one.answers) if kind not in self._types]
        schemas, components = msgspec.json.schema_components(self._types, ref_template=_REF)
        renames = {name: f"{match[1]}Page" for name in components if (match := _PAGE_NAME.search(name))}
        self._schemas = [_renamed(schema, renames) for schema in schemas]
        self.components: Json = {renames.get(name, name): _renamed(one, renames) for name, one in components.items()}
        self._speak_out_answers([one.body for one in endpoints if one.has_body])

    def _speak_out_answers(self, bodies: Sequence[Any]) -> None:
        """Answers leave no field out, so that all of theirs are required; a type that is also read keeps its own."""
        _, read = msgspec.json.schema_components(bodies, ref_template=_REF)
        for name, schema in self.components.items():
            schema["description"] = cleandoc(schema.get("description", name))
            if name not in read and "properties" in schema:
                schema["required"] = list(schema["properties"])

    def _schema(self, kind: object) -> Json:
        return self._schemas[self._types.index(kind)]

    def operation(self, one: Endpoint) -> Json:
        described: Json = {
            "operationId": one.operation_id,
            "summary": one.summary,
            "tags": [_tag(one)],
            "parameters": [*_path_parameters(one), *_query_parameters(one), *_header_parameters(one)],
            "responses": {**self._successes(one), **self._failures(one)},
        }
        if one.access is None:
            described["security"] = []
        else:
            described["description"] = f"Needs the role {least_role(one.access)}."
        if one.has_body:
            described["requestBody"] = self._request_body(one)
        return described

    def _request_body(self, one: Endpoint) -> Json:
        content: Json = {"schema": self._schema(one.body)}
        if one.example is not None:
            content["example"] = one.example
        kinds = ["application/json"] + (["application/merge-patch+json"] if one.method == "PATCH" else [])
        return {"required": one.body_required, "content": dict.fromkeys(kinds, content)}

    def _successes(self, one: Endpoint) -> Json:
        schemas = [self._schema(kind) for kind in one.answers] or [{"type": "string"}]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        answer: Json = {"description": "Done.", "content": {one.content_type: {"schema": schema}}}
        if one.version != "no":
            answer["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "The version, for If-Match."}}
        found = {str(one.status): answer}
        if one.other_status is not None:
            found[str(one.other_status)] = answer
        if one.takes_key:
            found["200"] = {**answer, "description": "The key was known: what it made, unchanged."}
        return found

    def _failures(self, one: Endpoint) -> Json:
        found: dict[int, list[ErrorMeaning]] = {}
        for meaning in (CATALOGUE[code] for code in _codes(one)):
            found.setdefault(meaning.http_status, []).append(meaning)
        return {str(status): self._failure(found[status]) for status in sorted(found)}

    def _failure(self, meanings: Sequence[ErrorMeaning]) -> Json:
        first = meanings[0]
        example = Problem(
            TYPE_PREFIX + first.code.lower(),
            first.title,
            first.http_status,
            first.code,
            first.caller_does,
            (),
            "0199f0c2-7a51-7c3e-9d55-2f6f0f3e8a10",
            "/api/v1/…",
        )
        described = " ".join(f"{one.code}: {one.title}. {one.caller_does}" for one in meanings)
        content = {"schema": self._schema(Problem), "example": msgspec.to_builtins(example)}
        return {"description": described, "content": {PROBLEM_CONTENT_TYPE: content}}


def _codes(one: Endpoint) -> Iterable[str]:
    codes = [*_ALWAYS, *one.errors]
    if one.access is not None:
        codes += _GUARDED
    if "{" in one.path or one.access is not None:
        codes.append("NOT_FOUND")
    if one.method != "GET":
        codes.append("BODY_TOO_LARGE")
    if one.version != "no":
        codes.append("VERSION_MISMATCH")
    if one.keeps_answer:
        codes += ["IDEMPOTENCY_MISMATCH", "STATE_CONFLICT"]
    if one.version == "required":
        codes.append("VERSION_REQUIRED")
    if one.content_type == "text/event-stream":
        codes.append("RATE_LIMITED")
    return dict.fromkeys(codes)


def _path_parameters(one: Endpoint) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} | ({} if name in _NAMES else {"format": "uuid"}),
        }
        for name in re.findall(r"\{(\w+)\}", one.path)
    ]


def _query_parameters(one: Endpoint) -> list[Json]:
    known = fields(one.query)
    (_,), components = msgspec.json.schema_components([one.query], ref_template=_REF)
    properties = components[one.query.__name__]["properties"]
    return [{"name": each.encode_name, "in": "query", **_parameter(properties[each.encode_name])} for each in known]


def _parameter(schema: Json) -> Json:
    """A parameter is absent, never null."""
    inner = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    merged = dict(inner[0])
    default = schema.get("default", merged.pop("default", None))
    if default is not None:
        merged["default"] = default
    description = merged.pop("description", None)
    return {"schema": merged} | ({"description": description} if description else {})


def _header_parameters(one: Endpoint) -> list[Json]:
    headers: list[tuple[str, bool, str]] = []
    if one.access is not None and one.under_api:
        headers.append((TENANT_HEADER, False, "The tenant to act for; a platform_admin's only."))
    if one.version != "no":
        headers.append(("If-Match", one.version == "required", "The ETag of the version that was read."))
    if one.takes_key:
        headers.append(("Idempotency-Key", False, "A repeated key with the same body makes nothing again."))
    if one.keeps_answer:
        headers.append(("Idempotency-Key", False, "A repeated key with the same request is answered as the first was."))
    if one.content_type == "text/event-stream":
        headers.append(("Last-Event-ID", False, "The id of the last frame that was received."))
    return [
        {"name": name, "in": "header", "required": required, "description": said, "schema": {"type": "string"}}
        for name, required, said in headers
    ]


def _tag(one: Endpoint) -> str:
    return one.path.split("/")[1] if one.access is None else one.access.resource


def _renamed(value: Json, renames: dict[str, str]) -> Json:
    """Names of generic types, made readable wherever they stand."""
    text = msgspec.json.encode(value).decode()
    for name, readable in renames.items():
        text = text.replace(f'"{_REF.format(name=name)}"', f'"{_REF.format(name=readable)}"')
    return msgspec.json.decode(text, type=Json)
