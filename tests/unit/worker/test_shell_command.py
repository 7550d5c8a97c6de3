"""Real commands, run in this process."""

import asyncio
import os
import pwd
from pathlib import Path
from typing import Any

import psutil
import pytest

from rota.worker.builtin_tasks import builtin_app
from rota.worker.context import Context
from rota.worker.testing import RecordedLines, TaskOutcome, fake_context, run_task
from tests.support.waiting import wait_until

APP = builtin_app(allow_exec=True, allow_targets=(), stop_grace_seconds=0.3)
HOME = pwd.getpwuid(os.geteuid()).pw_dir


async def execute(context: Context | None = None, **args: Any) -> TaskOutcome:
    return await run_task(APP, "rota.exec", args, context)


async def test_a_command_gets_crons_environment_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    outcome = await execute(command="env; pwd", env={"MINE": "1", "MAILTO": "root"})
    name = pwd.getpwuid(os.geteuid()).pw_name
    lines = {line for line in outcome.lines if not line.startswith(("PWD=", "_=", "SHLVL=", "OLDPWD="))}
    assert lines == {
        "SHELL=/bin/sh",
        "PATH=/usr/bin:/bin",
        f"HOME={HOME}",
        f"LOGNAME={name}",
        f"USER={name}",
        "MINE=1",
        HOME,
    }


async def test_a_list_is_started_without_a_shell() -> None:
    outcome = await execute(command=["echo", "$HOME", "two  words"])
    assert outcome.lines == ("$HOME two  words",)
    assert outcome.value == {"exit_code": 0}


async def test_input_and_directory_can_be_given(tmp_path: Path) -> None:
    outcome = await execute(command="cat; pwd", stdin="line\n", cwd=str(tmp_path))
    assert outcome.lines == ("line", str(tmp_path))


async def test_a_command_need_not_read_its_input() -> None:
    assert (await execute(command="true", stdin="x" * 1_000_000)).outcome == "succeeded"


async def test_an_exit_code_is_a_failure_that_names_it() -> None:
    outcome = await execute(command="echo last words >&2; exit 7")
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.message) == ("failed", "the command ended with exit code 7")
    assert outcome.lines == ("last words",)


async def test_a_signal_is_a_failure_that_names_it() -> None:
    outcome = await execute(command="kill -TERM $$")
    assert outcome.error is not None
    assert outcome.error.message == "the command was ended by SIGTERM"


async def test_long_lines_unfinished_lines_and_bytes_that_are_no_text_are_kept() -> None:
    outcome = await execute(command=r"head -c 20000 /dev/zero | tr '\0' x; printf '\n\377\nend'")
    assert sum(len(line) for line in outcome.lines[:-2]) == 20_000
    assert outcome.lines[-2:] == ("\ufffd", "end")


async def test_a_background_child_that_keeps_the_pipe_does_not_hold_up_the_end() -> None:
    lines = RecordedLines()
    outcome = await asyncio.wait_for(execute(fake_context(lines=lines), command="sleep 60 & echo $!"), 10)
    psutil.Process(int(outcome.lines[0])).kill()
    assert outcome.value == {"exit_code": 0}


@pytest.mark.parametrize(
    "command", ["sleep 60 & echo $!; wait", "trap '' TERM; sleep 60 & echo $!; while :; do wait; done"]
)
async def test_being_cancelled_ends_the_whole_group(command: str) -> None:
    lines = RecordedLines()
    running = asyncio.create_task(execute(fake_context(lines=lines), command=command))
    (child,) = await wait_until(lambda: list(lines.lines), 10)
    (leader,) = lines.groups

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await wait_until(lambda: not any(_is_running(pid) for pid in (int(child), leader)), 5)
    assert lines.groups == set()


def _is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"command": ""}, "exit code"),
        ({"command": []}, "command: it is empty"),
        ({"command": ["/no/such/program"]}, "cannot be started"),
        ({"command": "true", "cwd": "/no/such/directory"}, "cannot be started"),
        ({"command": "true", "shell": "/no/such/shell"}, "cannot be started"),
        ({"command": "true", "user": "nobody-of-that-name"}, "no user 'nobody-of-that-name'"),
        ({"command": 7}, "the argument 'command' does not fit"),
    ],
)
async def test_what_cannot_be_run_fails_for_good_with_a_reason(args: dict[str, Any], words: str) -> None:
    outcome = await execute(**args)
    if args["command"] == "":
        assert outcome.value == {"exit_code": 0}  # as `sh -c ''`
        return
    assert outcome.error is not None
    assert words in outcome.error.message
    assert not outcome.error.retryable


async def test_a_worker_that_was_not_told_to_runs_no_command(tmp_path: Path) -> None:
    closed = builtin_app(allow_exec=False, allow_targets=(), stop_grace_seconds=1)
    outcome = await run_task(closed, "rota.exec", {"command": f"touch {tmp_path}/made"})
    assert outcome.error is not None
    assert "--allow-exec" in outcome.error.message
    assert not outcome.error.retryable
    assert list(tmp_path.iterdir()) == []


async def test_commands_can_be_allowed_to_some_tenants_alone(tmp_path: Path) -> None:
    scoped = builtin_app(allow_exec=False, allow_exec_for=("default", "ops"), allow_targets=(), stop_grace_seconds=1)

    allowed = await run_task(scoped, "rota.exec", {"command": "echo hello"}, fake_context(tenant_id="ops"))
    refused = await run_task(
        scoped, "rota.exec", {"command": f"touch {tmp_path}/made"}, fake_context(tenant_id="other")
    )

    assert allowed.lines == ("hello",)
    assert refused.error is not None
    assert "no commands of tenant 'other'" in refused.error.message
    assert "--allow-exec-for other" in refused.error.message
    assert not refused.error.retryable
    assert list(tmp_path.iterdir()) == []
