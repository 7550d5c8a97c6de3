"""The tasks that Rota brings along: `rota.exec` runs a command as cron would, `rota.http` sends a request.

Those of `job_tasks` execute jobs, those of `item_tasks` resolve the items of a fan-out.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rota.core import webhook_signature
from rota.domain.callback import CALLBACK_HEADER
from rota.domain.targets import Accept202, HttpMethod, SignedHttpTarget
from rota.worker.app import App
from rota.worker.attempts import HTTP_TASK
from rota.worker.context import Context
from rota.worker.http_request import HttpOrder, Signing, send_request
from rota.worker.item_tasks import add_item_tasks
from rota.worker.job_tasks import add_job_tasks
from rota.worker.outcomes import Failure, NonRetryable
from rota.worker.shell_command import CommandOrder, run_command
from rota.worker.target_guard import TargetGuard

EXEC_TASK = "rota.exec"
FIRE_AT_HEADER = "Rota-Fire-At"


def builtin_app(
    *, allow_exec: bool, allow_exec_for: Sequence[str] = (), allow_targets: Sequence[str], stop_grace_seconds: float
) -> App:
    """All are always registered, so that a run of one that is not allowed says so.

    Commands have the rights of the worker's own user: `allow_exec` grants them to every tenant, `allow_exec_for` to
    those that it names.
    """
    app = App("rota", reserved=True)
    guard = TargetGuard.parse(allow_targets)

    @app.task(name=EXEC_TASK)
    async def execute(
        ctx: Context,
        *,
        command: str | list[str],
        shell: str = "/bin/sh",
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        stdin: str = "",
        user: str | None = None,
    ) -> dict[str, Any] | Failure:
        if not (allow_exec or ctx.tenant_id in allow_exec_for):
            raise NonRetryable(
                f"this worker runs no commands of tenant {ctx.tenant_id!r};"
                f" start one with --allow-exec-for {shlex.quote(ctx.tenant_id)}, or with --allow-exec for all tenants"
            )
        order = CommandOrder(command=command, shell=shell, cwd=cwd, env=env or {}, stdin=stdin, user=user)
        return await run_command(order, ctx.link, stop_grace_seconds)

    @app.task(name=HTTP_TASK)
    async def request(
        ctx: Context,
        *,
        url: str,
        method: HttpMethod = "POST",
        headers: dict[str, str] | None = None,
        body: object = None,
        signed_with: str | None = None,
        signed: SignedHttpTarget | None = None,
        accept_202: Accept202 = "done",
        callback_url: str | None = None,
    ) -> dict[str, Any] | Failure:
        if signed_with is not None and (signed is None or not signed.keys):
            return _unsigned(signed_with, ctx)
        if accept_202 == "callback" and callback_url is None:
            return _uncallable()
        signing = None if signed is None else _signing(signed, ctx)
        named = _with_identity(headers or {}, ctx, callback_url)
        order = HttpOrder(url=url, method=method, headers=named, body=body, signing=signing)
        return await send_request(order, guard, ctx.remaining_seconds)

    add_job_tasks(app)
    add_item_tasks(app, guard)
    return app


def _unsigned(name: str, ctx: Context) -> Failure:
    """A request that was to be signed is never sent without: its receiver could not tell it from a forged one."""
    message = f"tenant {ctx.tenant_id!r} has no live signing secret {name!r}; make one, or leave out `signed_with`"
    return Failure(message, retryable=False, failure_class="config")


def _signing(signed: SignedHttpTarget, ctx: Context) -> Signing:
    return Signing(signed.keys, ctx.run_id, int(signed.signed_at.timestamp()))


def _uncallable() -> Failure:
    """A request whose answer nobody could give is not sent: the run would wait in vain."""
    message = "this worker does not know where it may be called back; start it with --public-url"
    return Failure(message, retryable=False, failure_class="config")


def _with_identity(headers: Mapping[str, str], ctx: Context, callback_url: str | None) -> dict[str, str]:
    """`headers` without those of ours, in whatever case they are written: a receiver must not have to choose."""
    ours = _identity(ctx)
    taken = {name.lower() for name in (*ours, FIRE_AT_HEADER, CALLBACK_HEADER)} | webhook_signature.HEADERS
    if callback_url is not None:
        ours[CALLBACK_HEADER] = callback_url
    return {**{name: text for name, text in headers.items() if name.lower() not in taken}, **ours}


def _identity(ctx: Context) -> dict[str, str]:
    """How a receiver tells a repeated attempt from a new run."""
    named = {"Idempotency-Key": ctx.run_id, "Rota-Run-Id": ctx.run_id, "Rota-Attempt": str(ctx.attempt_no)}
    if ctx.fire_at is not None:
        named[FIRE_AT_HEADER] = ctx.fire_at.isoformat().replace("+00:00", "Z")
    return named
