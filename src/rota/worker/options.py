"""How a worker is set up, and everything that can be wrong with it."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from msgspec import Struct

from rota.domain.errors import invalid_input
from rota.domain.problems import FieldProblem
from rota.domain.tenancy import is_canonical_tenant_id
from rota.worker.app_loading import AppPath
from rota.worker.protocol import Hello
from rota.worker.session_words import SessionLimits

QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
QUEUES_MAX = 64
SLOTS_MAX = 1_000
EXECUTORS_MAX = 64
LEASE_SECONDS_MIN = 1.0


class WorkerOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`app` is `module:attribute`; without it only the built-in tasks are known. `samples` adds
    `rota.worker.samples`. `name` is for people.

    The lease is renewed every `renew_seconds` and trusted until *request sent* + `lease_seconds` − `margin_seconds`:
    by then every executor is dead, so the margin covers killing them. `stop_grace_seconds` is what a handler has
    between being told to stop and being given up. `allow_targets` are networks (CIDR) of private HTTP targets.
    `public_url` is where HTTP targets reach the API, for those that call back.
    `allow_exec` lets every tenant run commands here, `allow_exec_for` only the tenants that it names.
    """

    queues: tuple[str, ...] = ("default",)
    slots: int = 16
    executors: int = 2
    app: str | None = None
    samples: bool = False
    name: str = ""
    allow_exec: bool = False
    allow_exec_for: tuple[str, ...] = ()
    allow_targets: tuple[str, ...] = ()
    public_url: str | None = None
    lease_seconds: float = 3.5
    renew_seconds: float = 1.1
    margin_seconds: float = 0.5
    drain_seconds: float = 30.0
    stop_grace_seconds: float = 3.0
    begin_seconds_max: float = 5.0
    retire_seconds_max: float = 30.0
    log_lines_max: int = 10_000
    log_bytes_max: int = 1_048_576

    def session_limits(self) -> SessionLimits:
        return SessionLimits(
            slots=self.slots,
            executors=self.executors,
            stop_grace_seconds=self.stop_grace_seconds,
            begin_seconds_max=self.begin_seconds_max,
            retire_seconds_max=self.retire_seconds_max,
            drain_seconds=self.drain_seconds,
        )

    def hello(self) -> Hello:
        """What each executor is told. A command is killed before its own attempt would be given up."""
        return Hello(
            app=self.app,
            samples=self.samples,
            allow_exec=self.allow_exec,
            allow_exec_for=self.allow_exec_for,
            allow_targets=self.allow_targets,
            threads=self.slots,
            log_lines_max=self.log_lines_max,
            log_bytes_max=self.log_bytes_max,
            stop_grace_seconds=self.stop_grace_seconds * 2 / 3,
        )


def refuse_invalid(options: WorkerOptions) -> None:
    """Raises INVALID_INPUT with every problem at once."""
    problems = option_problems(options)
    if problems:
        raise invalid_input(problems)


def option_problems(options: WorkerOptions) -> tuple[FieldProblem, ...]:
    return (
        *_queue_problems(options),
        *_count_problems(options),
        *_app_problems(options),
        *_target_problems(options),
        *_address_problems(options),
        *_tenant_problems(options),
        *_time_problems(options),
    )


def _queue_problems(options: WorkerOptions) -> Iterator[FieldProblem]:
    if not 1 <= len(options.queues) <= QUEUES_MAX:
        yield FieldProblem("queues", f"{len(options.queues)} queues", f"Name between 1 and {QUEUES_MAX} queues.")
    if len(set(options.queues)) < len(options.queues):
        yield FieldProblem("queues", "a queue is named twice", "Name each queue once.")
    for index, queue in enumerate(options.queues):
        if not QUEUE_NAME.fullmatch(queue):
            remedy = "Use up to 100 lower-case letters, digits and . _ -, the first a letter or digit."
            yield FieldProblem(f"queues[{index}]", f"{queue!r} cannot be the name of a queue", remedy)


def _count_problems(options: WorkerOptions) -> Iterator[FieldProblem]:
    counts = (
        ("slots", options.slots, SLOTS_MAX),
        ("executors", options.executors, EXECUTORS_MAX),
        ("log_lines_max", options.log_lines_max, 1_000_000),
        ("log_bytes_max", options.log_bytes_max, 1 << 30),
    )
    for field, value, most in counts:
        if not 1 <= value <= most:
            yield FieldProblem(field, f"{value} is out of range", f"Give a number from 1 to {most}.")


def _app_problems(options: WorkerOptions) -> Iterator[FieldProblem]:
    if options.app is not None and not AppPath.parse(options.app).is_well_formed:
        remedy = "Name the App as module:attribute, for example `jobs:app`."
        yield FieldProblem("app", f"{options.app!r} is not an import path", remedy)


def _target_problems(options: WorkerOptions) -> Iterator[FieldProblem]:
    for index, text in enumerate(options.allow_targets):
        try:
            ipaddress.ip_network(text)
        except ValueError as problem:
            remedy = "Give a network such as 10.0.0.0/8, without host bits."
            yield FieldProblem(f"allow_targets[{index}]", str(problem), remedy)


def _address_problems(options: WorkerOptions) -> Iterator[FieldProblem]:
    if options.public_url is None:
        return
    parts = urlsplit(options.public_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        problem = f"{options.public_url!r} is not the address of a server"
        yield FieldProblem("public_url", problem, "Give it as https://rota.example.org")


def _tenant_problems(options: WorkerOptions) -> Iterator[FieldProblem]:
    for index, tenant_id in enumerate(options.allow_exec_for):
        if not is_canonical_tenant_id(tenant_id):
            yield FieldProblem(f"allow_exec_for[{index}]", f"{tenant_id!r} is no tenant's id", "Give a tenant's id.")


def _time_problems(options: WorkerOptions) -> Iterator[FieldProblem]:
    for field in ("renew_seconds", "margin_seconds", "stop_grace_seconds", "begin_seconds_max", "retire_seconds_max"):
        if not getattr(options, field) > 0:
            yield FieldProblem(field, f"{getattr(options, field):g} is not a duration", "Give a number above 0.")
    if not options.drain_seconds >= 0:
        yield FieldProblem("drain_seconds", f"{options.drain_seconds:g} is negative", "Give 0 or more.")
    if not options.lease_seconds >= LEASE_SECONDS_MIN:
        problem = f"a lease of {options.lease_seconds:g} s ends at every hiccup"
        yield FieldProblem("lease_seconds", problem, f"Give at least {LEASE_SECONDS_MIN:g}.")
    if options.lease_seconds < 2 * options.renew_seconds + options.margin_seconds:
        yield FieldProblem(
            "renew_seconds",
            "one lost renewal would end the lease",
            "Keep lease_seconds at no less than twice renew_seconds plus margin_seconds.",
        )
