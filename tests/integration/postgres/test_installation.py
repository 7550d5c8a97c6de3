import os
import sys
from pathlib import Path

import pytest

from rota.domain.errors import Unavailable
from rota.storage.postgres.installation import Installation

PYTHON = Installation(bin_dir=Path(sys.executable).parent, major=18)
PROGRAM = Path(sys.executable).name


def test_a_program_runs_in_a_session_of_its_own() -> None:
    session = PYTHON.run(PROGRAM, "-c", "import os; print(os.getsid(0))", account=None)

    assert int(session) != os.getsid(0)


def test_the_users_postgres_settings_do_not_reach_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/elsewhere")

    assert PYTHON.run(PROGRAM, "-c", "import os; print('PGDATA' in os.environ)", account=None) == "False\n"


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(Unavailable, match=r"failed: the reason"):
        PYTHON.run(PROGRAM, "-c", "import sys; sys.exit('the reason')", account=None)


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(Unavailable, match=r"no-such-program could not be run"):
        PYTHON.run("no-such-program", account=None)
