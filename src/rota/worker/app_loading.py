"""Finding the user's `App` by its import path. Whatever goes wrong is told as field, problem and remedy."""

import importlib
import traceback
from typing import Any

from msgspec import Struct

from rota.domain.problems import FieldProblem
from rota.worker.app import App


class LoadProblem(Exception):
    """The app cannot be had. `traceback` belongs in the operator's log."""

    def __init__(self, problem: FieldProblem, traceback_text: str = "") -> None:
        super().__init__(problem.problem)
        self.problem = problem
        self.traceback = traceback_text


class AppPath(Struct, frozen=True):
    """`module:attribute`; the attribute is `app` where it is left out."""

    module: str
    attribute: str

    @classmethod
    def parse(cls, text: str) -> "AppPath":
        module, _, attribute = text.partition(":")
        return cls(module, attribute or "app")

    @property
    def is_well_formed(self) -> bool:
        return all(part.isidentifier() for part in [*self.module.split("."), *self.attribute.split(".")])


def load_app(text: str) -> App:
    """Import it. Raises `LoadProblem`, also for whatever the module itself raises."""
    path = AppPath.parse(text)
    found: Any = _import(path.module)
    for name in path.attribute.split("."):
        if not hasattr(found, name):
            raise LoadProblem(
                FieldProblem(
                    "app",
                    f"the module {path.module!r} has no {path.attribute!r}",
                    "Name the App as module:attribute, for example `jobs:app`.",
                )
            )
        found = getattr(found, name)
    if not isinstance(found, App):
        kind = type(found).__qualname__
        remedy = "Point it at an instance of `rota.App`."
        raise LoadProblem(FieldProblem("app", f"{text!r} is a {kind}, not an App", remedy))
    return found


def _import(module: str) -> object:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as raised:
        missing = isinstance(raised, ModuleNotFoundError) and (raised.name or "") in module
        remedy = (
            "Start in the directory that holds the module, or install the package."
            if missing
            else "Mend the module; the traceback, which is written beside this, tells where."
        )
        problem = f"importing {module!r} failed: {type(raised).__name__}: {raised}"
        raise LoadProblem(FieldProblem("app", problem, remedy), traceback.format_exc()) from raised
