"""The resolver that `bench/long/fan_out.py` measures: as many items as are asked for, in no order."""

from collections.abc import Iterator

from rota import App

# Coprime to every count that is measured, so that each item comes once.
STRIDE = 7_919

app = App("items")


@app.task(name="bench.items")
def find_items(count: int) -> Iterator[str]:
    for n in range(count):
        yield f"registry.example/team/app-{n * STRIDE % count:06d}@sha256:0123456789abcdef"


@app.task(name="bench.segment")
async def work_on_a_segment(items: list[str]) -> int:
    return len(items)
