"""A full run in which a method of a store's port was never answered by PostgreSQL has failed.

Every process that runs tests records what the PostgreSQL stores answered; under pytest-xdist the workers hand it to the
controlling process. Only a whole run that has passed is judged: a selection of tests proves what it proves.
"""

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.ports import Recorder, every_method, unexercised

OUTPUT_KEY = "ports_exercised"
SELECTING_OPTIONS = (
    "keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "last_failed", "stepwise", "collectonly",
)  # fmt: skip


class PortCoverage:
    """Registered in every process; one of them judges."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._recorder = Recorder()
        self.exercised = self._recorder.exercised
        self.missing: list[str] = []
        if not is_controller(config):
            self._watch()

    def _watch(self) -> None:
        """A store that cannot be imported breaks the tests that use it, not all others; a whole run has failed then."""
        with suppress(ImportError, SyntaxError):
            self._recorder.watch()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # a type of pytest-xdist
        self.exercised |= set(getattr(node, "workeroutput", {}).get(OUTPUT_KEY, ()))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        if is_worker(self._config):
            cast("Any", self._config).workeroutput[OUTPUT_KEY] = sorted(self.exercised)
        elif session.exitstatus == pytest.ExitCode.OK and is_whole_run(self._config):
            self.missing = unexercised(self.exercised)
            if self.missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.missing:
            terminalreporter.section("methods of ports that no test had answered by PostgreSQL", red=True)
            for name in self.missing:
                terminalreporter.write_line(name)
        elif terminalreporter.verbosity > 0:
            known = len(every_method())
            terminalreporter.write_line(f"PostgreSQL answered {len(self.exercised)} of {known} methods of ports")


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def is_controller(config: pytest.Config) -> bool:
    """Whether other processes run the tests."""
    return not is_worker(config) and bool(config.getoption("numprocesses", 0) or config.getoption("tx", None))


def is_whole_run(config: pytest.Config) -> bool:
    """Whether the tests that were asked for are all that there are."""
    asked = {(config.invocation_params.dir / argument).resolve() for argument in config.args}
    everything = {(config.rootpath / Path(name)).resolve() for name in cast("list[str]", config.getini("testpaths"))}
    return asked == everything and not any(config.getoption(name, None) for name in SELECTING_OPTIONS)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(PortCoverage(config), "rota-port-coverage")
