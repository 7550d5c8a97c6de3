"""Arguments that fit by name are bound without the interpreter's help; all others are refused in its words."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota import Context
from rota.domain.milestone import MilestoneOrder
from rota.worker.arguments import ArgumentMismatch, bind_arguments, signature_of
from rota.worker.testing import fake_context


def plain(a: int, b: str = "b") -> None:
    """Both ways."""


def keyword_only(*, a: int, b: int = 0) -> None:
    """By name alone."""


def positional_only(a: int = 0, /, b: int = 0) -> None:
    """The first cannot be given by name."""


def needs_a_position(a: int, /) -> None:
    """Cannot be called by name at all."""


def open_ended(a: int, *rest: int, **more: int) -> None:
    """Takes any name."""


def with_context(ctx: Context, a: int) -> None:
    """Gets the context beside it."""


FUNCTIONS = (plain, keyword_only, positional_only, needs_a_position, open_ended, with_context)


@given(st.sampled_from(FUNCTIONS), st.sets(st.sampled_from("abcx")))
def test_what_binds_is_what_the_interpreter_would_bind(function: Callable[..., Any], names: set[str]) -> None:
    args: dict[str, Any] = {name: "b" if name == "b" and function is plain else 1 for name in names}
    context = fake_context()
    full = {**args, "ctx": context} if function is with_context else args
    try:
        inspect.signature(function).bind(**full)
    except TypeError as mismatch:
        with pytest.raises(ArgumentMismatch, match=str(mismatch)):
            bind_arguments(signature_of(function), args, context)
    else:
        assert bind_arguments(signature_of(function), args, context) == full


@pytest.mark.parametrize(("args", "wrong"), [({"a": True}, "a"), ({"a": "1"}, "a"), ({"a": 1, "b": 2}, "b")])
def test_values_of_another_type_are_refused(args: Mapping[str, Any], wrong: str) -> None:
    with pytest.raises(ArgumentMismatch, match=f"argument '{wrong}' does not fit"):
        bind_arguments(signature_of(plain), args, fake_context())


ORDER = {
    "name": "AUTO_12H", "tenant_id": "acme", "subject": "site", "evidence": "installation",
    "occurred_at": "2026-03-01T12:00:00Z", "due_at": "2026-03-02T00:00:00Z", "attempt": 2,
}  # fmt: skip


def test_what_a_milestone_tells_is_for_handlers_that_ask_for_it() -> None:
    def asks(milestone: MilestoneOrder) -> None: ...
    def takes_all(**rest: Any) -> None: ...

    bound = bind_arguments(signature_of(asks), {"milestone": ORDER}, fake_context())
    assert (bound["milestone"].subject, bound["milestone"].attempt) == ("site", 2)
    assert bind_arguments(signature_of(takes_all), {"milestone": ORDER}, fake_context()) == {"milestone": ORDER}
    assert bind_arguments(signature_of(plain), {"a": 1, "milestone": ORDER}, fake_context()) == {"a": 1}
    with pytest.raises(ArgumentMismatch, match="'milestone'"):
        bind_arguments(signature_of(plain), {"a": 1, "milestone": "AUTO_12H"}, fake_context())
    with pytest.raises(ArgumentMismatch, match="'x'"):
        bind_arguments(signature_of(plain), {"a": 1, "x": ORDER}, fake_context())
