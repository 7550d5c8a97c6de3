"""Handlers that end in ways that nobody foresaw: what they raise and what they return."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, NoReturn

import msgspec

from rota import Context, Failure, Retry
from tests.integration.worker.hostile import hostile_app

app = hostile_app("hostile_ends")


class Mute(Exception):
    """Has no text, no representation and no way to be copied."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__

    def __reduce__(self) -> NoReturn:
        raise ValueError("no copy")


class Bare(BaseException):
    """Passes every `except Exception`."""


class Masked(Exception):
    """Lies about what it is: whoever asks for its class gets another exception."""

    @property
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise KeyboardInterrupt


class Notes(Exception):
    """What its traceback would show cannot be had."""

    @property
    def __notes__(self) -> NoReturn:  # type: ignore[override]
        raise SystemExit


class Nameless(type):
    """A class whose name cannot be told."""

    def __getattribute__(cls, name: str) -> Any:
        if name in {"__qualname__", "__name__", "__module__"}:
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Unnamed(Exception, metaclass=Nameless):
    """Of such a class."""


class Exit(SystemExit):
    """Has a class of its own."""


def _circular() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def _chain() -> Exception:
    last = ValueError("last")
    for number in range(5_000):
        link = ValueError(str(number))
        link.__context__ = last
        last = link
    return last


ERRORS: dict[str, Callable[[], BaseException]] = {
    "bare": lambda: Bare("passes"),
    "system_exit": lambda: Exit(0),
    "keyboard_interrupt": KeyboardInterrupt,
    "cancelled_error": asyncio.CancelledError,
    "generator_exit": GeneratorExit,
    "stop_iteration": StopIteration,
    "mute": Mute,
    "masked": Masked,
    "notes": Notes,
    "unnamed": Unnamed,
    "group": lambda: BaseExceptionGroup("both", [ValueError("one"), BaseExceptionGroup("inner", [Bare("two")])]),
    "wide_group": lambda: ExceptionGroup("many", [ValueError(str(number)) for number in range(20_000)]),
    "ten_megabytes": lambda: ValueError("x" * 10_000_000),
    "surrogate": lambda: ValueError("\ud800\0"),
    "circular": _circular,
    "chain": _chain,
    "odd_arguments": lambda: OSError(2, None, object()),
    "odd_delay": lambda: Retry("soon", delay_seconds="tomorrow"),  # type: ignore[arg-type]
    "endless_delay": lambda: Retry("never", delay_seconds=1e300),
    "past_delay": lambda: Retry("yesterday", delay_seconds=-1e300),
}


class Masquerade:
    """A result that raises when it is looked at."""

    @property
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise SystemExit


class Unkind(dict[str, object]):
    """A dict that does not let itself be read."""

    def items(self) -> NoReturn:
        raise KeyboardInterrupt

    __iter__ = items


def _cyclic() -> object:
    cycle: list[object] = []
    cycle.append({"again": cycle})
    return cycle


def _nested() -> object:
    nested: object = None
    for _ in range(100_000):
        nested = [nested]
    return nested


def _numbers() -> Generator[int]:
    yield 1


async def _later() -> int:
    return 1


RESULTS: dict[str, Callable[[], object]] = {
    "not_a_number": lambda: float("nan"),
    "bytes": lambda: b"\xff\x00",
    "nul": lambda: {"\0": "\0"},
    "cyclic": _cyclic,
    "nested": _nested,
    "fifty_megabytes": lambda: "x" * 50_000_000,
    "generator": _numbers,
    "coroutine": _later,
    "object": object,
    "surrogate": lambda: "\ud800",
    "masquerade": Masquerade,
    "unkind": lambda: Unkind(a=1),
    "raw": lambda: msgspec.Raw(b"{this is no JSON"),
    "raw_twice": lambda: msgspec.Raw(b'1, "2"'),
    "raw_bytes": lambda: msgspec.Raw(b'"\xff\xfe"'),
    "raw_surrogate": lambda: msgspec.Raw(b'"\\ud800"'),
    "raw_exponent": lambda: msgspec.Raw(b"1e400000"),
    "raw_not_a_number": lambda: msgspec.Raw(b"NaN"),
    "many_digits": lambda: msgspec.Raw(b"9" * 200_000),
    "odd_failure": lambda: Failure(None, retryable="no", retry_after_seconds=[]),  # type: ignore[arg-type]
    "odd_class": lambda: Failure("text", failure_class="hostile"),  # type: ignore[arg-type]
}


@app.task(name="raise_in_thread")
def raise_in_thread(kind: str) -> None:
    made = ERRORS[kind]()
    raise made


@app.task(name="raise_on_loop")
async def raise_on_loop(kind: str) -> None:
    made = ERRORS[kind]()
    raise made


@app.task(name="return_from_thread")
def return_from_thread(kind: str) -> object:
    return RESULTS[kind]()


@app.task(name="return_from_loop")
async def return_from_loop(kind: str) -> object:
    return RESULTS[kind]()


@app.task(name="odd_lines")
def odd_lines(ctx: Context) -> Any:
    """Output that is no text, or no line."""
    ctx.log.info("%d", "no number")
    ctx.log.info("one\r\ntwo\x85three\u2028four")
    ctx.link.line("\0\ud800" * 1_000, "\0\ud800")
    print("\0\ud800")
