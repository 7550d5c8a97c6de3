"""Rota: a roster for machines. The names of the task SDK are here: `from rota import App, Context`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rota.domain.policies import RetryPolicy as RetryPolicy
    from rota.worker.app import App as App
    from rota.worker.context import Context as Context
    from rota.worker.outcomes import Cancel as Cancel
    from rota.worker.outcomes import Failure as Failure
    from rota.worker.outcomes import NonRetryable as NonRetryable
    from rota.worker.outcomes import Retry as Retry

__version__ = "0.1.0"

# Imported when they are asked for: the command line and the server must not pay for the SDK.
_SDK = {
    "App": "rota.worker.app",
    "Cancel": "rota.worker.outcomes",
    "Context": "rota.worker.context",
    "Failure": "rota.worker.outcomes",
    "NonRetryable": "rota.worker.outcomes",
    "Retry": "rota.worker.outcomes",
    "RetryPolicy": "rota.domain.policies",
}


def __getattr__(name: str) -> object:
    if name not in _SDK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SDK[name]), name)
