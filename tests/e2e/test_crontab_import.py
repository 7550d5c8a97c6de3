"""A crontab of the kind that machines have, imported into a running Rota: each line becomes a schedule that runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.up_process import UpProcess, private_root, running_up

CRONTAB = r"""
# m h  dom mon dow   command
SHELL=/bin/bash
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin
MAILTO=ops@example.org
GREETING="good morning"

# --- backups
0 2 * * *    echo backup --full 2>&1
30 2 * * 1-6 echo backup --incremental
15 3 1 * *   echo "home-$(date +\%Y\%m\%d).tar.gz"
0 4 * * sun  find /nowhere-at-all -name '*.tar.gz' -mtime +60 -delete 2>/dev/null || echo nothing to delete
@weekly      echo "pg-$(date +\%F).sql.gz" | tr a-z A-Z
*/10 * * * * echo rsync -a --delete /srv/data/

# --- certificates and packages
0 0,12 * * * test -x /nowhere/certbot && echo renew || echo no certbot
17 *  * * *  cd / && pwd
25 6  * * *  test -x /nowhere/anacron || { cd / && echo run-parts daily; }
47 6  * * 7  test -x /nowhere/anacron || { cd / && echo run-parts weekly; }
52 6  1 * *  test -x /nowhere/anacron || { cd / && echo run-parts monthly; }
@daily       echo apt-get update -qq

# --- web applications
* * * * *    cd /tmp && echo schedule:run >> /dev/null 2>&1; echo done
*/5 * * * *  echo wp-cron
2-59/5 * * * * echo nextcloud
0 3 * * *    cd /usr && echo clearsessions in $PWD
5-59/15 * * * * echo curl -fsS -m 10 --retry 3 https://example.org/ping
@hourly      echo 'Session.sweep'
0 1 * * mon-fri /usr/bin/env bash -c 'echo reports:daily'

# --- metrics, logs, disks
5-55/10 * * * * command -v nowhere-sa1 > /dev/null && nowhere-sa1 || echo no sysstat
59 23 * * *  echo $SHELL
*/15 * * * * echo 1 2 3 | awk '{print $2}'
0 5 * * 0    if [ -x /nowhere/checkarray ]; then echo yes; else echo no array; fi
10 3 * * *   echo logrotate
0 */6 * * *  echo prune -f --filter "until=24h"
23 4 */2 * * echo updatedb
0 9-17/2 * * 1-5 echo sync-calendar

# --- standard input, other zones, an environment
0 8 * * 1    cat%Dear team,%%the numbers are 100\% fine.%
5 8 * * *    echo $GREETING
MAILTO=""
CRON_TZ=America/New_York
30 9 * * 1-5 echo "market opens"
30 16 * * 1-5 echo "market closes"
CRON_TZ=UTC
0 0 1 jan *  echo "happy new year"
0 12 13 * 5  echo "the 13th and every Friday"
  45	4	*	*	*	echo "tabs and leading blanks"
@reboot      /usr/local/bin/tunnel.sh
"""

LINES_COUNT = 34
SAID = {
    "cat": ["Dear team,", "", "the numbers are 100% fine."],
    "echo $GREETING": ["good morning"],
    "echo $SHELL": ["/bin/bash"],
    "cd / && pwd": ["/"],
    "echo 1 2 3 | awk '{print $2}'": ["2"],
    'echo "market opens"': ["market opens"],
}


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    with private_root() as root, running_up(root / "data", "--no-sample") as process:
        yield process


@pytest.fixture(scope="module")
def imported(up: UpProcess, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the first import said."""
    file: Path = tmp_path_factory.mktemp("cron") / "crontab"
    file.write_text(CRONTAB)
    tried = up.rota("import", "crontab", str(file), "--dry-run", "-o", "json")
    assert tried.code == 0, tried.err
    assert up.ask("GET", "/schedules")["items"] == []
    done = up.rota("import", "crontab", str(file), "-o", "json")
    assert done.json == tried.json
    again = up.rota("import", "crontab", "-", "-o", "json", stdin=CRONTAB)
    assert {item["verb"] for item in again.json["items"]} <= {"unchanged", "replace"}  # the source's name differs
    return done.json


def test_every_line_becomes_a_schedule_and_reboot_is_refused_with_a_reason(
    up: UpProcess, imported: dict[str, Any]
) -> None:
    stored = {one["name"]: one for one in up.ask("GET", "/schedules?limit=500")["items"]}

    assert len(imported["items"]) == len(stored) == LINES_COUNT >= 30
    assert all(one["next_fire_at"] and one["enabled"] for one in stored.values())
    (refused,) = imported["refused"]
    assert "@reboot" in refused["text"]
    assert refused["remedy"]


def test_zones_are_kept(up: UpProcess, imported: dict[str, Any]) -> None:
    name = next(item["name"] for item in imported["items"] if item["command"] == 'echo "market opens"')

    (trigger,) = up.ask("GET", f"/schedules?name={name}")["items"][0]["triggers"]

    assert (trigger["expression"], trigger["timezone"]) == ("30 9 * * 1-5", "America/New_York")


def test_each_runs_as_under_cron_and_its_output_is_there_by_api_and_command_line(
    up: UpProcess, imported: dict[str, Any]
) -> None:
    ids = {one["name"]: one["id"] for one in up.ask("GET", "/schedules?limit=500")["items"]}
    runs = {
        item["command"]: up.ask("POST", f"/schedules/{ids[item['name']]}/trigger", {})["id"]
        for item in imported["items"]
    }

    for run_id in runs.values():
        up.wait_for_run(run_id, "succeeded", 30)
    listed = up.rota("run", "list", "--state", "succeeded", "-n", "500", "-o", "json").json["items"]
    assert {run["id"] for run in listed} >= set(runs.values())
    for run_id in runs.values():
        assert up.ask("GET", f"/runs/{run_id}/logs")["items"]
    for command, lines in SAID.items():
        said = [line["text"] for line in up.ask("GET", f"/runs/{runs[command]}/logs")["items"]]
        assert said == lines
    shown = up.rota("logs", "--schedule", next(i["name"] for i in imported["items"] if i["command"] == "cd / && pwd"))
    assert shown.out == "/\n"


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("61 * * * * echo", "line 1"),
        ("* * * * echo hi", "line 1"),
        ("* * * * *", "line 1"),
        ("CRON_TZ=Mars/Base\n* * * * * echo", "CRON_TZ"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_stored(up: UpProcess, line: str, field: str) -> None:
    before = up.ask("GET", "/schedules")["total_count"]

    said = up.rota("import", "crontab", "-", stdin=f"{line}\n* * * * * echo fine\n")

    assert said.code == 2
    assert field in said.err
    assert "remedy:" in said.err
    assert up.ask("GET", "/schedules")["total_count"] == before
