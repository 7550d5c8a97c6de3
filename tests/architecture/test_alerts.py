"""Every alert rule names metrics of the catalogue, with labels that they have, and a runbook that names the alert."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from typer.main import get_command

from rota.cli.main import app
from rota.domain.run import FailureClass
from rota.telemetry.catalogue import METRICS, MetricSpec
from rota.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rota.rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
SPECS = {spec.name: spec for spec in METRICS}
# What Prometheus itself says of a target.
OF_PROMETHEUS = {"up"}
SELECTOR = re.compile(r"\b((?:rota_\w+)|up)\b(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)=~?"([^"]*)"')
OFFSET = re.compile(r"max\((rota_\w+)\) - max\(\1 offset (\w+)\)")


def spec_of(name: str) -> MetricSpec | None:
    histogram = SPECS.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return SPECS.get(name) or (histogram if histogram is not None and histogram.kind == "histogram" else None)


def unknown_names(expression: str) -> list[str]:
    """Metrics, labels and outcomes that the catalogue does not have."""
    wrong: list[str] = []
    for name, labels in SELECTOR.findall(expression):
        if name in OF_PROMETHEUS:
            continue
        spec = spec_of(name)
        if spec is None:
            wrong.append(name)
            continue
        for label, value in values_of(labels):
            if label not in spec.labels or (label == "outcome" and value not in spec.help):
                wrong.append(f"{name}{{{label}={value}}}")
    return wrong


def values_of(labels: str) -> list[tuple[str, str]]:
    """Each label with each value that its matcher names."""
    return [(label, value) for label, values in LABEL.findall(labels) for value in values.split("|")]


def unborn(expression: str, exposed: str) -> list[str]:
    """Series that an expression looks for and that are not exposed. Of one that appears with its first count Prometheus
    sees no increase.
    """
    missing: list[str] = []
    for name, labels in SELECTOR.findall(expression):
        series = [line for line in exposed.splitlines() if re.match(rf"{name}(_bucket|_sum|_count)?[ {{]", line)]
        wanted = [f'{label}="{value}"' for label, value in values_of(labels)] or [""]
        if name not in OF_PROMETHEUS:
            missing += [f"{name}{{{one}}}" for one in wanted if not any(one in line for line in series)]
    return missing


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_names_what_is_exported_and_a_runbook_that_names_it(rule: dict[str, Any]) -> None:
    expression = rule["expr"]
    assert SELECTOR.search(expression)
    assert unknown_names(expression) == []
    assert expression.count("(") == expression.count(")")
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    runbook = (ROOT / rule["annotations"]["runbook"]).read_text()
    assert f"`{rule['alert']}`" in runbook
    assert "**Look**" in runbook
    assert "**Do**" in runbook


def test_what_a_rule_looks_for_is_exposed_before_it_is_counted_first() -> None:
    exposed = Metrics().exposition().decode()
    assert {rule["alert"]: missing for rule in RULES if (missing := unborn(rule["expr"], exposed))} == {}
    for failure_class in get_args(FailureClass):
        assert f'rota_interventions_total{{failure_class="{failure_class}"}} 0.0' in exposed
    for verb in ("reconcile", "update"):
        assert f'rota_binding_walks_total{{outcome="failures",verb="{verb}"}} 0.0' in exposed
    assert unborn('rate(rota_jobs_ended_total[5m]) > 0 or rota_checks_total{outcome=~"due|lost"}', exposed) == [
        "rota_jobs_ended_total{}",
        'rota_checks_total{outcome="lost"}',
    ]


def test_one_look_without_an_answer_among_others_that_have_one_pages_nobody() -> None:
    unreachable = next(rule for rule in RULES if rule["alert"] == "RotaUnreachable")
    window = "[2m])) > 0"
    failed, answered = (
        f"sum(increase(rota_checks_total{{{one}}}{window}" for one in ('outcome="failed"', 'outcome=~"due|idle"')
    )
    assert f"({failed} unless {answered})" in unreachable["expr"]


def test_a_growth_is_not_taken_from_a_time_when_nobody_led() -> None:
    """The leader alone tells these figures: without one they are nought, and all that ever was would count as new."""
    found = [(rule["expr"], span) for rule in RULES for _, span in OFFSET.findall(rule["expr"])]
    assert found
    assert all(f"and max(rota_runs_ended_ever offset {span}) > 0" in expression for expression, span in found)


def test_alerts_have_names_of_their_own() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) >= 10


def test_links_between_runbooks_lead_somewhere() -> None:
    for runbook in (ROOT / "docs/runbooks").glob("*.md"):
        for target in re.findall(r"\]\(([\w./-]+\.md)\)", runbook.read_text()):
            assert (runbook.parent / target).exists(), (runbook.name, target)


def unknown_words(command: str) -> list[str]:
    """Verbs and options that the command line does not have."""
    found: Any = get_command(app)
    words = command.split()[1:]
    while words and hasattr(found, "commands"):
        if words[0] not in found.commands:
            return [words[0]]
        found = found.commands[words.pop(0)]
    options = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if word.startswith("-") and word not in options]


def test_commands_in_runbooks_are_there() -> None:
    commands = {
        command
        for runbook in (ROOT / "docs/runbooks").glob("*.md")
        for command in re.findall(r"`(rota [a-z][^`]*)`", runbook.read_text())
    }
    assert len(commands) > 10
    assert {command: words for command in commands if (words := unknown_words(command))} == {}
    assert unknown_words("rota intervention list") == ["intervention"]
    assert unknown_words("rota run list --odd") == ["--odd"]


def test_a_name_that_is_not_exported_is_found() -> None:
    assert unknown_names('rate(rota_checks_total{outcome="lost"}[5m]) > rota_lags or rota_leading{tenant="a"}') == [
        "rota_checks_total{outcome=lost}",
        "rota_lags",
        "rota_leading{tenant=a}",
    ]
    assert unknown_names('rate(rota_check_seconds_sum[5m]) and rota_checks_total{outcome="failed"} and up == 0') == []
