"""The tasks of Rota's workers in measurements: they count, and do nothing else."""

from bench.harness.counting import counter_of_environment
from rota import App

app = App("bench")
counter = counter_of_environment()


@app.task(name="noop")
async def noop(n: int = 0) -> None:
    """Nothing, on the loop."""
    counter.ran(n)


@app.task(name="noop_thread")
def noop_thread(n: int = 0) -> None:
    """Nothing, in a thread."""
    counter.ran(n)


@app.task(name="noop_uncounted")
async def noop_uncounted(n: int = 0) -> None:
    """Nothing at all."""
