"""With CI=true, a run in which any test was skipped or expected to fail has failed.

A skipped test proves nothing and reads like a success. Registered by tests/conftest.py; works under pytest-xdist,
where only the controlling process ends the session and the workers' reports reach it.
"""

import os
from collections.abc import Generator

import pytest


class NoSkips:
    """Collects the ids of all tests that did not run to a verdict."""

    def __init__(self) -> None:
        self.unproven: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.unproven[report.nodeid] = "skipped while collecting"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "wasxfail"):
            self.unproven[report.nodeid] = "marked xfail"
        elif report.skipped:
            self.unproven[report.nodeid] = "skipped"

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        if self.unproven and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.unproven:
            return
        terminalreporter.section("not proven: with CI=true every test must run", red=True)
        for nodeid, why in sorted(self.unproven.items()):
            terminalreporter.write_line(f"{nodeid}: {why}")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI") == "true" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NoSkips(), "rota-no-skips")
