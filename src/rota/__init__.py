"""Rota: a roster for machines. The names of the task SDK are here: `from rota import App, Context`.

The types of these names are in `__init__.pyi`, so that importing the package imports nothing else.
"""

from importlib import import_module

__version__ = "0.1.0"

# Imported when they are asked for: the command line and the server must not pay for the SDK.
_SDK = {
    "App": "rota.worker.app",
    "Cancel": "rota.worker.outcomes",
    "Context": "rota.worker.context",
    "Failure": "rota.worker.outcomes",
    "NonRetryable": "rota.worker.outcomes",
    "Retry": "rota.worker.outcomes",
    "SoftTimeout": "rota.worker.outcomes",
    "RetryPolicy": "rota.domain.policies",
}


def __getattr__(name: str) -> object:
    if name == "testing":
        return import_module("rota.worker.testing")
    if name not in _SDK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SDK[name]), name)
