"""The ports that a store answers, the PostgreSQL class of each, and which of their methods a run of tests has called.

Read from the code: a Protocol of `rota.ports` whose methods a class of `rota.storage.postgres` has all of is a port of
the store. So a new port, or a new method of one, is known here by itself.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

import rota.ports
import rota.storage.postgres

# Ports of the machine, which no store answers.
OF_THE_MACHINE = frozenset({"Clock", "Ids", "Rng"})


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def classes_of(package: ModuleType) -> Iterator[type]:
    """Those that are defined there."""
    for module in modules_of(package):
        for value in vars(module).values():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                yield value


def methods_of(port: type) -> tuple[str, ...]:
    return tuple(sorted(name for name in vars(port) if not name.startswith("_") and callable(getattr(port, name))))


def store_ports() -> dict[str, tuple[str, ...]]:
    """The methods of every port that is the store's to answer."""
    ports = (one for one in classes_of(rota.ports) if getattr(one, "_is_protocol", False))
    return {port.__name__: methods_of(port) for port in ports if port.__name__ not in OF_THE_MACHINE}


def answering(port: str) -> tuple[type, ...]:
    """The PostgreSQL classes that have every method of the port."""
    wanted = set(store_ports()[port])
    return tuple(one for one in classes_of(rota.storage.postgres) if wanted <= set(vars(one)) and not is_port(one))


def is_port(one: type) -> bool:
    return bool(getattr(one, "_is_protocol", False))


def every_method() -> frozenset[str]:
    """`LockStore.page` and the like."""
    return frozenset(f"{port}.{name}" for port, names in store_ports().items() for name in names)


def unexercised(exercised: Iterable[str]) -> list[str]:
    return sorted(every_method() - frozenset(exercised))


class Recorder:
    """Wraps the methods of the PostgreSQL classes; a call counts when it has answered, not when it has raised."""

    def __init__(self) -> None:
        self.exercised: set[str] = set()

    def watch(self) -> None:
        for port, names in store_ports().items():
            for answered_by in answering(port):
                for name in names:
                    setattr(answered_by, name, self._watched(getattr(answered_by, name), f"{port}.{name}"))

    def _watched(self, method: Callable[..., Any], label: str) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @wraps(method)
            async def recorded(*args: Any, **named: Any) -> Any:
                answer = await method(*args, **named)
                self.exercised.add(label)
                return answer

            return recorded

        @wraps(method)
        def recorded_at_once(*args: Any, **named: Any) -> Any:
            answer = method(*args, **named)
            self.exercised.add(label)
            return answer

        return recorded_at_once
