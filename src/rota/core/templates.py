"""From a template to the schedule of one subject: which placeholders there are, and what stands in their place. Pure.

A placeholder is `${subject}`, `${kind}`, `${tenant}` or `${parameters.NAME}`, in texts of the body alone, never in the
names of its fields. What is put in is not read again: a parameter that looks like a placeholder stays as it is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from rota.core.field_rules import LABEL_VALUE_RULE, QUEUE_RULE, TextRule, json_problems, text_problems
from rota.core.input_reading import read_struct
from rota.core.validation import DESCRIPTION_RULE, validate_draft
from rota.domain.binding import BindingKey, Parameters, ParameterValue, ScheduleTemplate, TemplateDraft
from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.schedule import ScheduleDraft

TEMPLATE_NAME_RULE = TextRule(64, QUEUE_RULE.pattern, QUEUE_RULE.shape)
KIND_RULE = TextRule(64, QUEUE_RULE.pattern, QUEUE_RULE.shape)
SUBJECT_RULE = TextRule(
    200,
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*"),
    "letters, digits, '.', '_', ':', '@', '+' and '-', beginning with a letter or digit",
)
PARAMETER_RULE = TextRule(64, re.compile(r"[a-z][a-z0-9_]*"), "lower-case letters, digits and '_', such as 'hour'")
PARAMETERS_MAX = 64
PARAMETER_CHARACTERS_MAX = 1_000
BODY_BYTES_MAX = 65_536

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_OF_PARAMETER = "parameters."
_NAMES_A_PARAMETER = re.compile(rf"parameters\.(?:{PARAMETER_RULE.pattern.pattern})")
_KNOWN = ("subject", "kind", "tenant")


def template_problems(name: str, draft: TemplateDraft) -> Iterator[FieldProblem]:
    """What is wrong with a template whoever uses it; the rest is said of the schedule that it makes."""
    yield from text_problems("name", name, TEMPLATE_NAME_RULE)
    if draft.description:
        yield from text_problems("description", draft.description, DESCRIPTION_RULE, lines=True)
    yield from parameters_problems("defaults", draft.defaults)
    unfit = list(json_problems("body", draft.body, BODY_BYTES_MAX))
    yield from unfit or _body_problems(draft.body)


def parameters_problems(field: str, parameters: Parameters) -> Iterator[FieldProblem]:
    if len(parameters) > PARAMETERS_MAX:
        yield FieldProblem(field, f"has {len(parameters)} entries", f"use at most {PARAMETERS_MAX}")
    for name, value in list(parameters.items())[:PARAMETERS_MAX]:
        at = f"{field}.{name[:64]}"
        yield from text_problems(at, name, PARAMETER_RULE)
        if isinstance(value, str):
            rule = TextRule(PARAMETER_CHARACTERS_MAX, LABEL_VALUE_RULE.pattern, LABEL_VALUE_RULE.shape, length_min=0)
            yield from text_problems(at, value, rule)
        else:
            yield from json_problems(at, value, PARAMETER_CHARACTERS_MAX)


def key_problems(key: BindingKey) -> Iterator[FieldProblem]:
    yield from text_problems("kind", key.kind, KIND_RULE)
    yield from text_problems("subject", key.subject, SUBJECT_RULE)


def rendered(template: ScheduleTemplate, key: BindingKey, parameters: Parameters) -> ScheduleDraft:
    """The schedule that the template makes for a subject. Raises INVALID_INPUT, whose fields are the template's body's,
    or `parameters` where one is missing or unknown.
    """
    given: dict[str, ParameterValue] = {**template.defaults, **parameters}
    wanted = {name for _, name in _placeholders("body", template.body) if name.startswith(_OF_PARAMETER)}
    problems = list(_parameter_problems(given, parameters, {name.removeprefix(_OF_PARAMETER) for name in wanted}))
    if problems:
        raise invalid_input(problems)
    values: dict[str, ParameterValue] = {f"{_OF_PARAMETER}{name}": value for name, value in given.items()}
    values |= {"subject": key.subject, "kind": key.kind, "tenant": template.tenant_id}
    return _checked(_filled(template.body, values))


def draft_of_template(template: ScheduleTemplate) -> TemplateDraft:
    """What a caller would send to make the template as it is."""
    return TemplateDraft(dict(template.body), template.defaults, template.description)


def _checked(document: object) -> ScheduleDraft:
    try:
        draft = read_struct(document, ScheduleDraft)
    except DomainError as wrong:
        raise invalid_input([one.under("body") for one in wrong.problems]) from wrong
    problems = [one.under("body") for one in validate_draft(draft)]
    if problems:
        raise invalid_input(problems)
    return draft


def _body_problems(body: Mapping[str, Any]) -> Iterator[FieldProblem]:
    known = ScheduleDraft.__struct_fields__
    for name in body.keys() - set(known):
        yield FieldProblem(f"body.{name[:64]}", "is not a field of a schedule", f"use {', '.join(known)}")
    if "${subject}" not in str(body.get("name", "")):
        remedy = "write ${subject} somewhere in it"
        yield FieldProblem("body.name", "would be the same for every subject, and names are unique", remedy)
    for field in ("triggers", "target"):
        if field not in body:
            yield FieldProblem(f"body.{field}", "is missing", "give it a value")
    for at, name in _placeholders("body", body):
        if name not in _KNOWN and not _NAMES_A_PARAMETER.fullmatch(name):
            remedy = "use ${subject}, ${kind}, ${tenant} or ${parameters.NAME}"
            yield FieldProblem(at, f"${{{name}}} is no placeholder", remedy)


def _parameter_problems(given: Parameters, own: Parameters, wanted: set[str]) -> Iterator[FieldProblem]:
    for name in sorted(wanted - given.keys()):
        yield FieldProblem(f"parameters.{name}", "is missing", "give it a value, or give the template a default")
    for name in sorted(own.keys() - wanted):
        known = ", ".join(sorted(wanted)) or "none: leave it out"
        yield FieldProblem(f"parameters.{name}", "is not in the template", f"the template has {known}")


def _placeholders(at: str, value: object) -> Iterator[tuple[str, str]]:
    """Where each stands, and what it names."""
    if isinstance(value, str):
        yield from ((at, found) for found in _PLACEHOLDER.findall(value))
    elif isinstance(value, Mapping):
        for name, part in cast("Mapping[str, object]", value).items():
            yield from _placeholders(f"{at}.{name}", part)
    elif isinstance(value, list | tuple):
        for place, part in enumerate(cast("list[object]", value)):
            yield from _placeholders(f"{at}[{place}]", part)


def _filled(value: object, values: Mapping[str, ParameterValue]) -> object:
    if isinstance(value, str):
        return _filled_text(value, values)
    if isinstance(value, Mapping):
        return {name: _filled(part, values) for name, part in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_filled(part, values) for part in cast("list[object]", value)]
    return value


def _filled_text(text: str, values: Mapping[str, ParameterValue]) -> ParameterValue:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is not None:
        return values[whole[1]]
    return _PLACEHOLDER.sub(lambda found: _said(values[found[1]]), text)


def _said(value: ParameterValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
