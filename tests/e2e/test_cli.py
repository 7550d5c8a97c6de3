"""Every verb of the command line against a real server, in each form of output. Wrong input stores nothing."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from rota.cli.main import main
from tests.e2e.up_process import ROTA, Said, UpProcess, clean_environment, private_root, rota, running_up
from tests.support.postgres import ClonedDatabase
from tests.support.waiting import wait_until_blocking

Cli = Callable[..., Said]

SCHEDULE = {
    "name": "nightly",
    "triggers": [{"kind": "cron", "expression": "0 2 * * *", "timezone": "Europe/Paris"}],
    "target": {"kind": "task", "task": "rota.exec", "args": {"command": "echo :smile: [bold]; echo two"}},
}


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    with private_root() as root, running_up(root / "data", "--no-sample") as process:
        yield process


@pytest.fixture
def cli(up: UpProcess, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in this process, which spares each call the start of an interpreter."""

    def call(*arguments: str, stdin: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["rota", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setenv("ROTA_CONTEXT", str(up.data_dir / "context.json"))
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def document(tmp_path: Path) -> Callable[[Any], str]:
    """The path of a file with a value in it."""

    def write(value: Any) -> str:
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        file.write_text(yaml.safe_dump(value))
        return str(file)

    return write


@pytest.fixture
def nightly(up: UpProcess) -> Iterator[dict[str, Any]]:
    """A schedule, gone afterwards."""
    made = up.ask("POST", "/schedules", SCHEDULE)
    yield made
    up.delete_schedules()


def finished_run(up: UpProcess, schedule: dict[str, Any]) -> str:
    run = up.ask("POST", f"/schedules/{schedule['id']}/trigger", {})
    up.wait_for_run(run["id"], "succeeded")
    return str(run["id"])


def test_schedules_are_listed_and_shown_as_the_api_has_them(up: UpProcess, cli: Cli, nightly: dict[str, Any]) -> None:
    page = up.ask("GET", "/schedules?limit=500")

    assert cli("schedule", "list", "-o", "json").json == page
    assert yaml.safe_load(cli("schedule", "list", "-o", "yaml").out) == page
    assert cli("schedule", "get", "nightly", "-o", "json").json == up.ask("GET", f"/schedules/{nightly['id']}")
    table = cli("schedule", "list").out.splitlines()
    assert table[0].split() == ["NAME", "TRIGGERS", "TARGET", "STATE", "NEXT", "FIRE", "ID"]
    assert "0 2 * * * Europe/Paris" in table[1]
    assert nightly["id"] in table[1]


def test_a_schedule_is_made_changed_paused_resumed_deleted_and_restored(
    up: UpProcess, cli: Cli, document: Callable[[Any], str]
) -> None:
    made = cli("schedule", "create", "-f", document({**SCHEDULE, "name": "walk"}), "-o", "json").json
    assert (made["name"], made["version"], made["enabled"]) == ("walk", 1, True)

    changed = {**SCHEDULE, "name": "walk", "description": "changed"}
    replaced = cli("schedule", "replace", "walk", "-f", "-", "-o", "json", stdin=json.dumps(changed)).json
    assert replaced["description"] == "changed"
    assert cli("schedule", "pause", "walk", "--reason", "a holiday", "-o", "json").json["enabled"] is False
    assert "paused: a holiday" in cli("schedule", "list").out
    assert cli("schedule", "resume", "walk", "--from", made["created_at"], "-o", "json").json["enabled"] is True
    deleted = cli("schedule", "delete", "walk")
    assert (deleted.code, "rota schedule restore" in deleted.err) == (0, True)
    assert cli("schedule", "get", "walk").code == 1
    assert "walk" in cli("schedule", "list", "--deleted").out
    assert cli("schedule", "restore", "walk", "-o", "yaml").code == 0
    up.delete_schedules()


def test_a_triggered_run_is_followed_from_the_start_to_its_last_line(cli: Cli, nightly: dict[str, Any]) -> None:
    run = cli("schedule", "trigger", "nightly", "-o", "json").json

    followed = cli("logs", run["id"], "-f")

    assert followed.out.splitlines() == [":smile: [bold]", "two"]
    assert f"run {run['id']} succeeded" in followed.err
    assert cli("logs", "--schedule", "nightly").out == followed.out
    lines = cli("logs", run["id"], "-o", "json").json["items"]
    assert [line["text"] for line in lines] == [":smile: [bold]", "two"]
    assert [json.loads(one) for one in cli("logs", run["id"], "-f", "-o", "json").out.splitlines()] == lines
    assert list(yaml.safe_load_all(cli("logs", run["id"], "-f", "-o", "yaml").out)) == lines


def test_runs_are_listed_shown_enqueued_cancelled_and_retried(up: UpProcess, cli: Cli, nightly: dict[str, Any]) -> None:
    run_id = finished_run(up, nightly)

    listed = cli("run", "list", "--schedule", "nightly", "--state", "succeeded", "-o", "json").json
    assert listed == up.ask("GET", f"/runs?schedule_id={nightly['id']}&state=succeeded&limit=50")
    shown = cli("run", "get", run_id, "-o", "json").json
    attempts = shown.pop("attempts")
    assert shown == up.ask("GET", f"/runs/{run_id}")
    assert attempts == up.ask("GET", f"/runs/{run_id}/attempts")["items"]
    assert "succeeded" in cli("run", "get", run_id).out
    again = cli("run", "retry", run_id, "-o", "json").json
    assert again["retry_of"] == run_id
    up.wait_for_run(again["id"], "succeeded")
    order = ("run", "create", "rota.exec", "--args", '{"command": "sleep 60"}', "--delay-seconds", "0")
    made = cli(*order, "--queue", "default", "--idempotency-key", "k", "-o", "json").json
    assert cli(*order, "--queue", "default", "--idempotency-key", "k", "-o", "json").json["id"] == made["id"]
    assert cli("run", "cancel", made["id"]).code == 0
    up.wait_for_run(made["id"], "cancelled")


def test_a_listing_says_what_it_leaves_out(up: UpProcess, cli: Cli, nightly: dict[str, Any]) -> None:
    finished_run(up, nightly)
    finished_run(up, nightly)

    said = cli("run", "list", "-n", "1")

    assert len(said.out.splitlines()) == 2
    assert "--limit N shows more" in said.err


def test_workers_events_tenants_and_tokens_are_listed_as_the_api_has_them(up: UpProcess, cli: Cli) -> None:
    for noun, path in {
        "event": "/events?limit=50",
        "tenant": "/tenants?limit=500",
        "token": "/tokens?limit=500",
    }.items():
        page = up.ask("GET", path)
        assert cli(noun, "list", "-o", "json").json == page
        assert yaml.safe_load(cli(noun, "list", "-o", "yaml").out) == page
        assert cli(noun, "list").code == 0
    assert [one["name"] for one in cli("worker", "list", "-o", "json").json["items"]] == ["up"]
    assert "ready" not in cli("worker", "list").err
    assert cli("event", "list", "--type", "ScheduleCreated", "--days", "1").code == 0


def test_events_are_shown_as_they_happen(up: UpProcess, nightly: dict[str, Any], tmp_path: Path) -> None:
    command = [*ROTA, "event", "list", "-f", "--type", "SchedulePaused", "-o", "json", "--data-dir", str(up.data_dir)]
    heard = tmp_path / "heard"
    with heard.open("wb") as out, subprocess.Popen(command, stdout=out, env=clean_environment()) as following:

        def something_was_heard() -> bool:
            for verb in ("pause", "resume"):
                up.ask("POST", f"/schedules/{nightly['id']}/{verb}", {})
            return b"\n" in heard.read_bytes()

        wait_until_blocking(something_was_heard, 30)
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 130
    assert json.loads(heard.read_text().splitlines()[0])["type"] == "SchedulePaused"


def test_a_tenants_token_works_until_it_is_revoked(up: UpProcess, cli: Cli, tmp_path: Path) -> None:
    assert cli("tenant", "create", "acme", "--name", "Acme", "-o", "json").json["id"] == "acme"
    token = cli("token", "create", "ci", "--role", "operator", "--tenant", "acme", "-o", "json").json
    file = tmp_path / "token"
    file.write_text(token["secret"] + "\n")
    with_token = ("--token-file", str(file), "--url", up.context["url"])
    assert cli("schedule", "list", *with_token, "-o", "json").json["items"] == []
    assert cli("tenant", "list", *with_token).code == 1

    assert cli("token", "revoke", token["id"], "--tenant", "acme", "-o", "json").json["revoked_at"]

    wait_until_blocking(lambda: cli("schedule", "list", *with_token).code == 1)
    assert cli("tenant", "revoke", "acme", "-o", "json").json["revoked_at"]


def test_a_manifest_is_compared_applied_and_pruned(up: UpProcess, cli: Cli, document: Callable[[Any], str]) -> None:
    both = document({"schedules": [{**SCHEDULE, "name": "a"}, {**SCHEDULE, "name": "b"}]})
    one = document({"schedules": [{**SCHEDULE, "name": "a", "description": "new"}]})

    assert cli("diff", "-f", both).code == 1
    assert cli("apply", "-f", both, "--prune", "web", "--dry-run").code == 0
    assert up.ask("GET", "/schedules")["items"] == []
    assert "2 create" in cli("apply", "-f", both, "--prune", "web").err
    assert "2 unchanged" in cli("apply", "-f", both, "--prune", "web").err
    steps = cli("apply", "-f", one, "--prune", "web", "-o", "json").json["items"]
    assert [(step["verb"], step["name"]) for step in steps] == [("replace", "a"), ("delete", "b")]
    assert cli("diff", "-f", one, "-o", "yaml").code == 1  # the label that --prune gave
    up.delete_schedules()


DECLARING = """
from rota import App

app, idle = App(), App()


@app.schedule(cron="0 2 * * *", timezone="Europe/Paris", name="declared", args={"depth": 3})
@app.task(name="report", timeout_seconds=60)
def report(depth: int) -> int:
    return depth
"""


def test_what_code_declares_is_compared_and_applied_as_a_manifest(
    up: UpProcess, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "declaring.py").write_text(DECLARING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    assert cli("diff", "--app", "declaring:app").code == 1
    assert "1 create" in cli("apply", "--app", "declaring:app", "--prune", "jobs").err
    assert "1 unchanged" in cli("apply", "--app", "declaring:app", "--prune", "jobs").err
    (stored,) = up.ask("GET", "/schedules")["items"]
    assert (stored["target"]["task"], stored["target"]["args"]) == ("report", {"depth": 3})
    assert stored["policies"]["timeout_seconds"] == 60
    assert "declares no schedule" in cli("apply", "--app", "declaring:idle").err
    assert "No module named 'nowhere'" in cli("apply", "--app", "nowhere:app").err
    assert "exactly one of --file and --app" in cli("apply").err
    up.delete_schedules()


def test_many_new_schedules_are_applied_at_once(up: UpProcess, cli: Cli, document: Callable[[Any], str]) -> None:
    names = [f"many-{number:03}" for number in range(120)]
    many = document({"schedules": [{**SCHEDULE, "name": name} for name in names]})
    one = document({"schedules": [{**SCHEDULE, "name": names[0]}]})

    assert "120 create" in cli("apply", "-f", many, "--prune", "many").err
    stored = [one["name"] for one in cli("schedule", "list", "-n", "200", "-o", "json").json["items"]]
    assert stored == names
    assert "120 unchanged" in cli("apply", "-f", many, "--prune", "many").err
    assert "119 delete" in cli("apply", "-f", one, "--prune", "many").err
    up.delete_schedules()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("schedule", "list", "--limit", "0"), "--limit"),
        (("schedule", "list", "-o", "xml"), "--output"),
        (("schedule", "get", "nowhere"), "schedule list"),
        (("schedule", "create", "-f", "/nowhere"), "/nowhere"),
        (("schedule", "create"), "--file"),
        (("schedule", "resume", "nightly", "--from", "yesterday"), "--from"),
        (("schedule", "pause", "nightly", "--reason", "x" * 5_000), "--reason"),
        (("schedule", "preview"), "--cron"),
        (("schedule", "preview", "--cron", "61 * * * *"), "--cron"),
        (("schedule", "preview", "--cron", "* * * * *", "--every", "5"), "--every"),
        (("schedule", "preview", "--cron", "* * * * *", "--tz", "Mars/Base"), "--tz"),
        (("schedule", "preview", "--cron", "* * * * *", "--gap", "jump"), "--gap"),
        (("schedule", "preview", "--cron", "* * * * *", "--overlap-hour", "third"), "--overlap-hour"),
        (("schedule", "preview", "--cron", "* * * * *", "--after", "noon"), "--after"),
        (("schedule", "preview", "--every", "0"), "--every"),
        (("schedule", "preview", "--every", "nan"), "--every"),
        (("run", "list", "--state", "sleeping"), "--state"),
        (("run", "list", "--schedule", "nowhere"), "schedule list"),
        (("run", "get", "../tenants"), "RUN"),
        (("run", "create", "rota.exec", "--args", "[1]"), "--args"),
        (("run", "create", "rota.exec", "--args", "{"), "--args"),
        (("run", "create", ""), "TASK"),
        (("run", "create", "x", "--queue", "No Queue"), "--queue"),
        (("run", "create", "x", "--delay-seconds", "-1"), "--delay-seconds"),
        (("run", "create", "x", "--delay-seconds", "1e300"), "--delay-seconds"),
        (("run", "create", "x", "--idempotency-key", ""), "--idempotency-key"),
        (("logs",), "RUN"),
        (("logs", "--schedule", "nightly", "x"), "RUN"),
        (("logs", "00000000-0000-7000-8000-000000000000"), "RUN"),
        (("event", "list", "--type", "Nonsense"), "--type"),
        (("event", "list", "--days", "91"), "--days"),
        (("tenant", "create", " "), "ID"),
        (("tenant", "create", "a/b"), "ID"),
        (("tenant", "revoke", "nobody"), "ID"),
        (("token", "create", "x", "--role", "king"), "--role"),
        (("token", "create", "x", "--expires-at", "soon"), "--expires-at"),
        (("token", "create", "x", "--expires-at", "2020-01-01T00:00:00Z"), "--expires-at"),
        (("token", "create", "", "--role", "viewer"), "NAME"),
        (("token", "revoke", "nonsense"), "ID"),
        (("import", "crontab", "/nowhere"), "/nowhere"),
        (("import", "crontab", "-", "--tz", "Mars/Base"), "--tz"),
        (("apply", "-f", "/nowhere"), "/nowhere"),
        (("schedule", "list", "--tenant", "nobody"), "--tenant"),
        (("schedule", "list", "--token-file", "/nowhere"), "/nowhere"),
        (("schedule", "list", "--data-dir", "/nowhere"), "--data-dir"),
        (("schedule", "list", "--url", "http://127.0.0.1:9"), "--url"),
        (("schedule", "list", "--url", "nonsense"), "--url"),
        (("worker", "start", "--slots", "0"), "--slots"),
        (("worker", "start", "--queue", "No Queue"), "--queue"),
        (("worker", "start", "--allow-target", "everything"), "--allow-target"),
        (("worker", "start", "--allow-exec-for", " "), "--allow-exec-for"),
        (("worker", "start", "--app", "no app"), "--app"),
        (("server", "--port", "x"), "--port"),
        (("bootstrap", "--url", "ftp://x"), "--url"),
        (("migrate", "--database-url", "nonsense"), "--database-url"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_stored(
    up: UpProcess, cli: Cli, nightly: dict[str, Any], arguments: tuple[str, ...], named: str
) -> None:
    def everything() -> list[Any]:
        return [up.ask("GET", path)["total_count"] for path in ("/schedules", "/runs", "/tenants", "/tokens")]

    before = everything()

    said = cli(*arguments)

    assert said.code in {1, 2}
    assert named in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert everything() == before
    assert up.ask("GET", f"/schedules/{nightly['id']}")["version"] == nightly["version"]


def test_a_manifest_with_one_wrong_schedule_stores_none(
    up: UpProcess, cli: Cli, document: Callable[[Any], str]
) -> None:
    wrong = {**SCHEDULE, "name": "wrong", "triggers": [{"kind": "cron", "expression": "61 * * * *"}]}

    said = cli("apply", "-f", document({"schedules": [SCHEDULE, wrong]}))

    assert said.code == 2
    assert "schedules[1].triggers[0].expression" in said.err
    assert "remedy:" in said.err
    assert up.ask("GET", "/schedules")["items"] == []


def test_a_reader_that_leaves_early_hears_no_complaint(up: UpProcess, nightly: dict[str, Any]) -> None:
    command = f"{' '.join(ROTA)} event list -n 500 -o json --data-dir {up.data_dir} | head -c 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=clean_environment())

    assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_completion(shell: str) -> None:
    said = rota("--show-completion", shell, environment={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})

    assert said.code == 0
    assert "rota" in said.out.lower()


def test_verbs_are_completed() -> None:
    asked = {"_ROTA_COMPLETE": "complete_bash", "COMP_WORDS": "rota schedule pr", "COMP_CWORD": "2"}

    assert rota(environment=asked).out.split() == ["preview"]


@pytest.mark.parametrize("engine", ["pg15"], indirect=True)
def test_a_fresh_database_gets_its_first_token_by_bootstrap(empty_database: ClonedDatabase, tmp_path: Path) -> None:
    environment = {"ROTA_DATABASE_URL": empty_database.admin_url}
    with_port = ("server", "--port", "0")
    said = rota("bootstrap", environment=environment)

    assert said.code == 0, said.err
    assert rota("migrate", "--check", environment=environment).out == "pending: nothing\n"
    assert rota("bootstrap", environment=environment).code == 1
    assert rota("bootstrap", "--another", environment=environment).json["token"] != said.json["token"]
    with subprocess.Popen(
        [*ROTA, *with_port], stderr=subprocess.PIPE, text=True, env={**clean_environment(), **environment}
    ) as server:
        assert server.stderr is not None
        url = next(line["url"] for line in map(json.loads, server.stderr) if line["event"] == "ready")
        context = tmp_path / "context.json"
        context.write_text(json.dumps({**said.json, "url": url}))
        listed = rota("tenant", "list", "-o", "json", environment={"ROTA_CONTEXT": str(context)})
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert [one["id"] for one in listed.json["items"]] == ["default"]
