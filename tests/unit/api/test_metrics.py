from pathlib import Path

import pytest

import rota
from rota.domain.errors import Bug
from rota.telemetry.catalogue import EVENT_TYPES, METRICS
from rota.telemetry.metrics import Metrics

SOURCES = {
    path: path.read_text(encoding="utf-8")
    for path in Path(rota.__file__).parent.rglob("*.py")
    if path.name not in {"catalogue.py", "event.py"}
}


@pytest.mark.parametrize("name", [one.name for one in METRICS])
def test_every_metric_of_the_catalogue_is_recorded_somewhere(name: str) -> None:
    assert [path for path, text in SOURCES.items() if f'"{name}"' in text]


def test_names_are_unique_and_say_their_unit() -> None:
    assert len({one.name for one in METRICS}) == len(METRICS)
    for one in METRICS:
        assert one.name.startswith("rota_")
        assert one.help.endswith(".")
        assert one.name.endswith("_total") == (one.kind == "counter")
    assert all(EVENT_TYPES.values())


def test_what_is_recorded_is_exposed() -> None:
    metrics = Metrics()
    metrics.count("rota_http_refusals_total", code="UNAUTHENTICATED")
    metrics.observe("rota_http_request_seconds", 0.2, method="GET", route="/x")
    metrics.set("rota_http_streams_open", 3)
    text = metrics.exposition().decode()
    assert 'rota_http_refusals_total{code="UNAUTHENTICATED"} 1.0' in text
    assert 'rota_http_request_seconds_count{method="GET",route="/x"} 1.0' in text
    assert "rota_http_streams_open 3.0" in text


def test_a_metric_that_the_catalogue_lacks_is_a_defect() -> None:
    metrics = Metrics()
    for record in (lambda: metrics.count("x"), lambda: metrics.observe("x", 1), lambda: metrics.set("x", 1)):
        with pytest.raises(Bug):
            record()
    with pytest.raises(ValueError, match="label"):
        metrics.count("rota_http_refusals_total", tenant="acme")
