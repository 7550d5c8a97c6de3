"""The schedules that an app's code declares (`@app.schedule`), as the manifest that one could have written instead."""

import sys

import msgspec

from rota.domain.errors import DomainError, invalid_input
from rota.domain.problems import FieldProblem


def declared_document(path: str) -> object:
    """Imports the module as a worker would, from the directory where one stands. Raises INVALID_INPUT."""
    # Only here, so that every other verb starts without the SDK.
    from rota.worker.app_loading import AppPath, LoadProblem, load_app

    if not AppPath.parse(path).is_well_formed:
        raise _refused(f"{path!r} is not an import path", "name the App as module:attribute, for example `jobs:app`")
    sys.path.insert(0, "")
    try:
        schedules = load_app(path).schedules
    except LoadProblem as failed:
        sys.stderr.write(failed.traceback)
        raise _refused(failed.problem.problem, failed.problem.remedy) from failed
    if not schedules:
        raise _refused(f"{path!r} declares no schedule", "put @app.schedule(...) above one of its tasks")
    return {"schedules": [msgspec.to_builtins(draft) for draft in schedules]}


def _refused(problem: str, remedy: str) -> DomainError:
    return invalid_input([FieldProblem("--app", problem, remedy)])
