"""A picture of the rows that have peers: a panel each, bars from zero on a scale of the panel's own.

Plain SVG without scripts or fonts of its own, readable on light and dark pages.
"""

from collections.abc import Mapping, Sequence
from html import escape

from bench.harness.rows import Row

TITLES: Mapping[str, str] = {
    "runs_end_to_end": "No-op runs executed end to end, per second (more is better)",
    "runs_enqueued_in_bulk": "Enqueued in bulk, per second (more is better)",
    "runs_database_cpu": "Processor time of the database, µs per run (less is better)",
    "runs_worker_cpu": "Processor time of the workers, µs per run (less is better)",
    "runs_wal": "WAL, bytes per run (less is better)",
    "pickup_p50": "Pick-up when idle, median, ms (less is better)",
    "pickup_p99": "Pick-up when idle, p99, ms (less is better)",
    "schedules_due_10k": "10,000 schedules due at once, handed over, s (less is better)",
}
WIDTH, LABEL_WIDTH, VALUE_WIDTH = 760, 130, 90
BAR, GAP, TITLE, MARGIN = 18, 6, 34, 16
OURS, OTHERS, LIMIT = "#2f7d6d", "#9aa5b1", "#c9b458"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600}"
    "@media (prefers-color-scheme:dark){text{fill:#e4e7eb}}"
)


def svg(rows: Sequence[Row]) -> str:
    """The picture; without panels where no row has peers."""
    panels = [row for row in rows if row.name in TITLES and row.peers]
    parts: list[str] = []
    top = MARGIN
    for row in panels:
        parts.append(_panel(row, top))
        top += _height(row)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
        f'role="img" aria-label="Rota beside its peers">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def _height(row: Row) -> int:
    return TITLE + (1 + len(row.peers)) * (BAR + GAP) + MARGIN


def _panel(row: Row, top: int) -> str:
    bars = {"Rota": row.value, **row.peers}
    most = max(bars.values()) or 1.0
    room = WIDTH - LABEL_WIDTH - VALUE_WIDTH - 2 * MARGIN
    parts = [f'<text class="t" x="{MARGIN}" y="{top + 16}">{escape(TITLES[row.name])}</text>']
    for place, (name, value) in enumerate(bars.items()):
        y = top + TITLE + place * (BAR + GAP)
        parts.append(_bar(name, value, y, max(1.0, room * value / most)))
    return "\n".join(parts)


def _bar(name: str, value: float, y: int, length: float) -> str:
    colour = OURS if name == "Rota" else LIMIT if name == "raw SQL" else OTHERS
    left = MARGIN + LABEL_WIDTH
    figure = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return (
        f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
        f'<text x="{left + length + 6:.1f}" y="{y + 14}">{figure}</text>'
    )
