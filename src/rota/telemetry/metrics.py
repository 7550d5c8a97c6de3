"""Recording of the catalogue's metrics in a registry of their own, one per process and passed in: no globals."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from rota.domain.errors import Bug
from rota.telemetry.catalogue import METRICS, MetricSpec

EXPOSITION_CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """All metrics of one process. A name or a label that the catalogue lacks is a defect."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for spec in METRICS:
            self._register(spec)

    def _register(self, spec: MetricSpec) -> None:
        if spec.kind == "counter":
            counter = Counter(spec.name, spec.help, spec.labels, registry=self._registry)
            for values in spec.born:
                counter.labels(*values)
            self._counters[spec.name] = counter
        elif spec.kind == "gauge":
            self._gauges[spec.name] = Gauge(spec.name, spec.help, spec.labels, registry=self._registry)
        else:
            self._histograms[spec.name] = Histogram(
                spec.name, spec.help, spec.labels, buckets=spec.buckets, registry=self._registry
            )

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        counter = self._counters.get(name)
        if counter is None:
            raise Bug(f"counter {name!r} is not in the catalogue")
        (counter.labels(**labels) if labels else counter).inc(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        histogram = self._histograms.get(name)
        if histogram is None:
            raise Bug(f"histogram {name!r} is not in the catalogue")
        (histogram.labels(**labels) if labels else histogram).observe(value)

    def set(self, name: str, value: float, **labels: str) -> None:
        gauge = self._gauges.get(name)
        if gauge is None:
            raise Bug(f"gauge {name!r} is not in the catalogue")
        (gauge.labels(**labels) if labels else gauge).set(value)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)
