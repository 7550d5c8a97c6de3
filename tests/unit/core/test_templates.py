from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.templates import key_problems, rendered, template_problems
from rota.domain.binding import BindingKey, Parameters, ScheduleTemplate, TemplateDraft
from rota.domain.errors import DomainError
from rota.domain.ids import TenantId
from rota.domain.targets import TaskTarget
from rota.domain.triggers import IntervalTrigger
from tests.contract.stores import START as NOW

KEY = BindingKey("platform", "site-1")
BODY: dict[str, Any] = {
    "name": "insights of ${subject}",
    "triggers": [{"kind": "interval", "every_seconds": "${parameters.every}"}],
    "target": {
        "kind": "task",
        "task": "refresh",
        "args": {"who": "${kind}:${subject}@${tenant}", "deep": ["${parameters.note}"]},
    },
}


def template(body: dict[str, Any], defaults: Parameters | None = None) -> ScheduleTemplate:
    return ScheduleTemplate(TenantId("acme"), "daily", 1, body, defaults or {}, "", NOW, "ada", NOW, "ada")


def refused(body: dict[str, Any], parameters: Parameters) -> list[str]:
    with pytest.raises(DomainError) as caught:
        rendered(template(body), KEY, parameters)
    assert caught.value.code == "INVALID_INPUT"
    return [one.field for one in caught.value.problems]


def test_placeholders_are_filled_wherever_a_text_stands_and_a_parameter_alone_keeps_its_type() -> None:
    draft = rendered(template(BODY, {"note": "n"}), KEY, {"every": 90})
    assert draft.name == "insights of site-1"
    assert draft.triggers == (IntervalTrigger(every_seconds=90.0),)
    assert draft.target == TaskTarget("refresh", {"who": "platform:site-1@acme", "deep": ["n"]})


def test_a_bindings_own_parameter_wins_over_the_default_and_true_is_said_as_json_says_it() -> None:
    body = {**BODY, "description": "${parameters.note}!"}
    assert rendered(template(body, {"note": "n", "every": 60}), KEY, {"note": True}).description == "true!"


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=40))
def test_what_is_put_in_is_never_read_again(text: str) -> None:
    for nasty in (text, f"${{subject}}{text}", f"{text}${{parameters.note}}"):
        draft = rendered(template(BODY), KEY, {"every": 60, "note": nasty})
        assert isinstance(draft.target, TaskTarget)
        assert draft.target.args["deep"] == [nasty]


def test_missing_and_unknown_parameters_are_named_and_so_is_a_body_that_makes_no_schedule() -> None:
    assert refused(BODY, {"every": 60, "hour": 4}) == ["parameters.note", "parameters.hour"]
    assert refused(BODY, {"every": "often", "note": ""}) == ["body.triggers[0].every_seconds"]
    assert refused(BODY, {"every": -1, "note": ""}) == ["body.triggers[0].every_seconds"]


def test_what_is_wrong_with_a_template_is_named_before_anybody_uses_it() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({**BODY, "name": "insights"}, "body.name"),
        ({**BODY, "trigers": []}, "body.trigers"),
        ({**BODY, "description": "${parameter.note}"}, "body.description"),
        ({**BODY, "description": "${parameters.}"}, "body.description"),
        ({**BODY, "description": "${tenant_id}"}, "body.description"),
        ({name: part for name, part in BODY.items() if name != "target"}, "body.target"),
        ({**BODY, "description": "x" * 70_000}, "body"),
    ]
    for body, field in cases:
        assert [one.field for one in template_problems("daily", TemplateDraft(body))] == [field]
    assert list(template_problems("daily", TemplateDraft(BODY, {"every": 60}))) == []
    assert [one.field for one in template_problems("Daily", TemplateDraft(BODY, {"Every": 1}))] == [
        "name",
        "defaults.Every",
    ]


def test_a_subject_is_one_part_of_a_path() -> None:
    assert list(key_problems(KEY)) == []
    for key, field in ((BindingKey("platform", "a/b"), "subject"), (BindingKey("a b", "x"), "kind")):
        assert [one.field for one in key_problems(key)] == [field]
