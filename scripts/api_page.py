"""Renders the OpenAPI document as a page for people: what there is, who may, what goes in and what comes out."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from scripts.markdown import BANNER, code, table

Json: TypeAlias = dict[str, Any]

INTRODUCTION = """\
# API

{banner}

All paths want `Authorization: Bearer <token>` unless the role is *none*. Bodies are JSON; failures are
`application/problem+json` with a code from [errors.md](errors.md). The whole description, OpenAPI 3.1, is served at
`GET /api/v1/openapi.json`.

- Lists take `limit` and `offset`, or `cursor` with the `next_cursor` of the page before, and answer `items`,
  `total_count`, `limit`, `offset`, `has_more`, `next_cursor`.
- `If-Match` takes the `ETag` of the version that was read; where the verb needs it, its absence answers 428.
- `Idempotency-Key` makes a POST repeatable: the same key with the same body makes nothing again.
"""


def type_words(schema: Json) -> str:
    """A schema in a few words: `string`, `list of CronTrigger`, `integer or null`."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join(code(str(value)) for value in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]))
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(type_words(choice) for choice in choices)
    if schema.get("type") == "array":
        return f"list of {type_words(schema['items'])}" if schema.get("items") else "list"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {type_words(schema['additionalProperties']) or 'anything'}"
    return plain_words(schema)


def plain_words(schema: Json) -> str:
    """A schema without parts: its type, its format and its bounds."""
    kind = schema.get("format") or schema.get("type") or "anything"
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("maxLength", "length ≤"))
        if key in schema
    ]
    return ", ".join([str(kind), *bounds])


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Each (method, path, operation), in the document's order."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def role_of(operation: Json) -> str:
    return str(operation.get("description", "*none*")).removeprefix("Needs the role ").removesuffix(".")


def inputs_of(operation: Json) -> str:
    """What a caller may send, without the path's own parameters and the tenant header that all share."""
    sent = [
        code(parameter["name"]) + ("" if not parameter.get("required") else " (needed)")
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" or parameter["name"] in {"If-Match", "Idempotency-Key", "Last-Event-ID"}
    ]
    body = operation.get("requestBody")
    if body:
        sent.insert(0, type_words(body["content"]["application/json"]["schema"]))
    return ", ".join(sent)


def answer_of(operation: Json) -> str:
    """The first successful status, with the type that it carries."""
    status = max(status for status in operation["responses"] if status.startswith("2"))
    content: Json = operation["responses"][status].get("content", {})
    kinds = [
        type_words(media["schema"]) if kind == "application/json" else code(kind) for kind, media in content.items()
    ]
    return " ".join([status, *kinds])


def endpoints_section(document: Json, tag: str) -> list[str]:
    rows = [
        [code(f"{method} {path}"), operation["summary"], role_of(operation), inputs_of(operation), answer_of(operation)]
        for method, path, operation in operations(document)
        if tag in operation["tags"]
    ]
    title = tag.replace("_", " ").capitalize()
    return ["", f"## {title}", "", *table(["Endpoint", "Does", "Least role", "Takes", "Answers"], rows)]


def default_words(name: str, schema: Json, required: list[str]) -> str:
    if name in required:
        return "needed"
    default = schema.get("default")
    return "" if default is None else code(str(default).lower() if isinstance(default, bool) else str(default))


def type_section(name: str, schema: Json) -> list[str]:
    lines = ["", f"### {name}", "", str(schema.get("description", "")).strip()]
    properties: Json = schema.get("properties", {})
    if not properties:
        return [*lines, "", type_words({key: value for key, value in schema.items() if key != "description"})]
    rows = [
        [code(field), type_words(inner), default_words(field, inner, schema.get("required", []))]
        for field, inner in properties.items()
    ]
    return [*lines, "", *table(["Field", "Type", "Default"], rows)]


def render(document: Json) -> str:
    """The page of an OpenAPI document."""
    lines = [INTRODUCTION.format(banner=BANNER).rstrip()]
    for tag in document["tags"]:
        lines += endpoints_section(document, tag["name"])
    lines += ["", "## Types", "", "*needed* stands where a body must have the field, or an answer always has it."]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += type_section(name, schema)
    return "\n".join(lines) + "\n"
