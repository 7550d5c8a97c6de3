"""From a run's JSON arguments to a handler's parameters: the context by its annotation, the rest by name and type.

A mismatch is the caller's mistake and no retry will mend it: it is reported with the names that the task takes.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rota.domain.milestone import MilestoneOrder
from rota.worker.context import Context
from rota.worker.outcomes import NonRetryable

OFFERED_ARGUMENT = "milestone"

_OFFERED_FIELDS = frozenset(field.name for field in msgspec.structs.fields(MilestoneOrder))
_VARIADIC = frozenset({inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD})
_PLAIN = frozenset({int, float, str, bool})


class ArgumentMismatch(NonRetryable):
    """The run's arguments do not fit the task's parameters."""


class Signature(msgspec.Struct, frozen=True):
    """A handler's parameters, looked at once. `named` may be given by name, and `required` must be."""

    parameters: inspect.Signature
    types: dict[str, Any]
    context_parameters: frozenset[str]
    named: frozenset[str]
    required: frozenset[str]


def signature_of(function: Callable[..., Any]) -> Signature:
    """Annotations that cannot be resolved count as absent, so such parameters are handed over as they came."""
    try:
        types = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        types = {name: hint for name, hint in _raw_annotations(function).items() if not isinstance(hint, str)}
    contexts = frozenset(name for name, hint in types.items() if hint is Context and name != "return")
    parameters = inspect.signature(function)
    by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    without_default = [each for each in parameters.parameters.values() if each.default is inspect.Parameter.empty]
    return Signature(
        parameters,
        types,
        contexts,
        named=frozenset(each.name for each in parameters.parameters.values() if each.kind in by_name),
        required=frozenset(each.name for each in without_default if each.kind not in _VARIADIC),
    )


def bind_arguments(signature: Signature, args: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The keyword arguments of the call. Raises `ArgumentMismatch`."""
    contexts = signature.context_parameters
    if contexts and contexts & args.keys():
        raise ArgumentMismatch(
            f"the argument {min(contexts & args.keys())!r} is the task's context and cannot be given"
        )
    call: dict[str, Any] = {name: _converted(signature, name, value) for name, value in args.items()}
    for name in contexts:
        call[name] = context
    if not (signature.named >= call.keys() >= signature.required):
        if _is_offered(signature, call):
            del call[OFFERED_ARGUMENT]
        _refuse_unless_it_binds(signature, call)
    return call


def _is_offered(signature: Signature, call: Mapping[str, Any]) -> bool:
    """What a milestone's run brings along is for handlers that ask for it; others are called without."""
    given = call.get(OFFERED_ARGUMENT)
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in signature.parameters.parameters.values())
    return (
        isinstance(given, dict)
        and given.keys() == _OFFERED_FIELDS
        and not (takes_any or OFFERED_ARGUMENT in signature.named)
    )


def _refuse_unless_it_binds(signature: Signature, call: dict[str, Any]) -> None:
    """The interpreter's own judgement, and its words."""
    try:
        signature.parameters.bind(**call)
    except TypeError as mismatch:
        known = ", ".join(name for name in signature.parameters.parameters if name not in signature.context_parameters)
        raise ArgumentMismatch(f"{mismatch}; the task takes: {known or 'no arguments'}") from mismatch


def _raw_annotations(function: Callable[..., Any]) -> dict[str, Any]:
    return dict(getattr(function, "__annotations__", {}))


def _converted(signature: Signature, name: str, value: object) -> object:
    hint = signature.types.get(name)
    if hint is None or hint is Any or (type(value) is hint and hint in _PLAIN):
        return value
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as problem:
        raise ArgumentMismatch(f"the argument {name!r} does not fit: {problem}") from problem
    except TypeError:  # a type that msgspec does not know: the handler gets the value as JSON gave it
        return value
