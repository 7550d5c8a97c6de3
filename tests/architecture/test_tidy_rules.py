"""Each tidy rule finds its planted violation, and leaves its innocent twin alone."""

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.architecture import tidy_python, tidy_sql
from tests.architecture.findings import Finding, parse_grandfathered, ratchet

CORE = "src/rota/core/retry.py"
TEST = "tests/unit/test_retry.py"
PORT = "src/rota/ports/run_store.py"
MANY_LINES = "    pass\n" * 69
METHODS = "    def m{}(self) -> None: ...\n"
PARAMETERS = "a, b, c, d, e, f, g"
CATCH_ALL = "def run():\n    try:\n        step()\n    except Exception:\n        log()\n"

PYTHON_CASES: list[tuple[Callable[[tidy_python.Module], Iterator[Finding]], str, str, str]] = [
    (tidy_python.long_file, CORE, "\n" * 501, "\n" * 500),
    (tidy_python.long_function, CORE, f"def f():\n    pass\n{MANY_LINES}", f"def f():\n{MANY_LINES}"),
    (tidy_python.many_parameters, CORE, f"def f({PARAMETERS}): ...", f"def f(self, {PARAMETERS[3:]}, *, named): ..."),
    (
        tidy_python.many_parameters,
        "src/rota/cli/run.py",
        f"def f({PARAMETERS}, h=1): ...",
        "def f(a, b, c=1, d=1, e=1, g=1, h=1): ...",
    ),
    (tidy_python.vague_name, CORE, "class RunManager: ...", "class Managerial: ..."),
    (tidy_python.no_docstring, CORE, "X = 1", '"""What it decides."""\nX = 1'),
    (tidy_python.async_in_the_core, CORE, "async def f(): ...", "def f(): ..."),
    (
        tidy_python.wide_port,
        PORT,
        "class P(Protocol):\n" + "".join(METHODS.format(n) for n in range(9)),
        "class P(Protocol):\n" + "".join(METHODS.format(n) for n in range(8)),
    ),
    (tidy_python.unfinished, CORE, "def f():\n    raise NotImplementedError", "def f():\n    raise Bug('no')"),
    (tidy_python.sql_in_python, CORE, "Q = 'DELETE FROM scheduler.runs'", "Q = 'Delete from the list'"),
    (tidy_python.no_verdict, TEST, "def test_it():\n    retry()", "def test_it():\n    assert retry()"),
    (
        tidy_python.no_verdict,
        TEST,
        "@pytest.mark.skip\ndef test_it():\n    assert 1",
        "def test_it():\n    wait_until(f)",
    ),
]


@pytest.mark.parametrize(("rule", "path", "planted", "innocent"), PYTHON_CASES)
def test_a_planted_flaw_in_python_is_found(
    rule: Callable[[tidy_python.Module], Iterator[Finding]], path: str, planted: str, innocent: str
) -> None:
    assert len(list(rule(tidy_python.parse(path, planted)))) == 1
    assert list(rule(tidy_python.parse(path, innocent))) == []


def test_every_rule_for_python_has_a_planted_flaw() -> None:
    assert {case[0] for case in PYTHON_CASES} == set(tidy_python.RULES)


@pytest.mark.parametrize("name", ["utils", "run_helpers", "common", "test_util"])
def test_a_vague_file_name_is_found(name: str) -> None:
    assert len(list(tidy_python.vague_name(tidy_python.parse(f"src/rota/core/{name}.py", "")))) == 1


@pytest.mark.parametrize(
    "clause", ["except Exception", "except BaseException", "except", "except (OSError, Exception) as error"]
)
def test_catching_everything_needs_a_listed_supervisor(clause: str) -> None:
    module = tidy_python.parse("src/rota/services/firing.py", CATCH_ALL.replace("except Exception", clause))
    place = "src/rota/services/firing.py::run"

    assert [finding.place for finding in tidy_python.broad_catch([module], {})] == [place]
    assert list(tidy_python.broad_catch([module], {place: "it counts and reports"})) == []


def test_cleaning_up_before_raising_again_needs_no_supervisor() -> None:
    module = tidy_python.parse("src/rota/services/firing.py", CATCH_ALL + "        raise\n")

    assert list(tidy_python.broad_catch([module], {})) == []


def test_a_supervisor_that_is_listed_in_vain_is_found() -> None:
    found = list(tidy_python.broad_catch([], {"src/rota/services/firing.py::run": "gone"}))

    assert [finding.place for finding in found] == ["src/rota/services/firing.py::run"]


@pytest.mark.parametrize(
    "importer",
    [
        "from rota.core import retry",
        "from rota.core.retry import delay",
        "import rota.core.retry",
        "START = [sys.executable, '-m', 'rota.core.retry']",
    ],
)
def test_a_module_that_nothing_asks_for_is_found(importer: str) -> None:
    module = tidy_python.parse(CORE, "import rota.core.retry")
    asking = tidy_python.parse("src/rota/cli/main.py", importer)
    entry_points = frozenset({"rota.cli.main"})

    assert [finding.place for finding in tidy_python.dead_module([module], entry_points)] == [CORE]
    assert list(tidy_python.dead_module([module, asking], entry_points)) == []


def test_declarations_do_not_make_the_median_look_better() -> None:
    code = "def f():\n    return 1\n\n    # the end\n    return 2\n\n" + METHODS.format(1).replace("    def", "def")

    assert tidy_python.median_function_lines([tidy_python.parse(CORE, code)]) == 5


SQL_PATH = "src/rota/storage/postgres/queries/runs/claim_batch.sql"
GOOD_SQL = "-- A worker takes what is due.\nSELECT ';' FROM scheduler.live_runs WHERE tenant_id = $1;\n"


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (tidy_sql.no_reason, SQL_PATH, "SELECT 1"),
        (tidy_sql.no_reason, SQL_PATH, "-- claims\nSELECT 1"),
        (tidy_sql.many_statements, SQL_PATH, "-- Two at once, wrongly.\nSELECT 1; SELECT 2"),
        (tidy_sql.many_statements, SQL_PATH, "-- Nothing in here at all.\n"),
        (tidy_sql.unclear_name, SQL_PATH.replace("claim_batch", "claim"), GOOD_SQL),
        (tidy_sql.unclear_name, SQL_PATH.replace("claim_batch", "claimBatch"), GOOD_SQL),
        (tidy_sql.wall_clock, SQL_PATH, "-- Reads the wrong clock.\nSELECT now()"),
        (tidy_sql.wall_clock, SQL_PATH, "-- Reads the wrong clock.\nSELECT CURRENT_TIMESTAMP"),
    ],
)
def test_a_planted_flaw_in_sql_is_found(
    rule: Callable[[tidy_sql.QueryFile], Iterator[Finding]], path: str, text: str
) -> None:
    assert len(list(rule(tidy_sql.QueryFile(path, text)))) == 1
    assert list(rule(tidy_sql.QueryFile(SQL_PATH, GOOD_SQL))) == []


MIGRATION = """
CREATE TABLE scheduler.live_runs (
    run_id     uuid PRIMARY KEY,
    tenant_id  text NOT NULL
) WITH (fillfactor = 70);
CREATE TABLE scheduler.leases (
    name  text PRIMARY KEY
);
CREATE VIEW scheduler.run_records AS SELECT r.tenant_id FROM scheduler.runs r;
"""


def leaks(text: str) -> list[Finding]:
    return list(tidy_sql.tenant_leak(tidy_sql.QueryFile(SQL_PATH, text), tidy_sql.tenant_tables([MIGRATION])))


def test_tenant_tables_are_read_from_the_migrations() -> None:
    assert tidy_sql.tenant_tables([MIGRATION]) == {"live_runs", "run_records"}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM scheduler.live_runs l WHERE l.tenant_id = $1",
        "SELECT 1 FROM scheduler.live_runs WHERE $1::text = tenant_id",
        "SELECT 1 FROM scheduler.live_runs WHERE tenant_id = ANY ($1)",
        "INSERT INTO scheduler.live_runs (run_id, tenant_id) VALUES ($1, $2)",
        "SELECT 1 FROM scheduler.leases",
    ],
)
def test_a_query_that_is_confined_to_a_tenant_needs_no_reason(statement: str) -> None:
    assert leaks(f"-- Stays in its tenant.\n{statement}\n") == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT tenant_id FROM scheduler.live_runs",
        "SELECT 1 FROM scheduler.live_runs a JOIN scheduler.live_runs b ON a.tenant_id = b.tenant_id",
        "UPDATE scheduler.live_runs SET run_id = $1",
    ],
)
def test_naming_the_tenant_without_comparing_it_confines_nothing(statement: str) -> None:
    assert len(leaks(f"-- Looks across tenants.\n{statement}\n")) == 1


@pytest.mark.parametrize("table", ["live_runs", "run_records"])
def test_a_query_that_looks_across_tenants_must_say_why(table: str) -> None:
    careless = f"-- Counts all of them.\nSELECT count(*) FROM scheduler.{table} -- tenant_id\n"
    reasoned = careless.replace("\nSELECT", "\n-- service: the leader sees all tenants\nSELECT")

    assert len(leaks(careless)) == 1
    assert leaks(reasoned) == []


def test_a_reason_to_look_across_tenants_that_is_given_in_vain_is_found() -> None:
    assert len(leaks(GOOD_SQL.replace("\nSELECT", "\n-- service: the leader sees all tenants\nSELECT"))) == 1
    assert leaks("-- Renews what is held.\nSELECT name FROM scheduler.leases\n") == []


def test_a_query_without_code_and_code_without_its_query_are_found() -> None:
    file = tidy_sql.QueryFile(SQL_PATH, GOOD_SQL)

    asking, silent = ast.parse('CLAIM = query("runs/claim_batch")'), ast.parse("'query(\"runs/claim_batch\")'")

    assert list(tidy_sql.unmatched([file], [asking])) == []
    assert [finding.rule for finding in tidy_sql.unmatched([file], [silent])] == ["sql-dead"]
    assert [finding.rule for finding in tidy_sql.unmatched([], [asking])] == ["sql-missing"]


LONG = Finding("long-file", "src/rota/old.py", "600 lines, at most 500", 600)


def test_the_ratchet_excuses_an_old_finding_and_nothing_more() -> None:
    excused = parse_grandfathered("# explains itself\nlong-file src/rota/old.py 600  # split with issue 4\n")

    assert ratchet([LONG], excused) == []
    assert ratchet([LONG._replace(value=601)], excused) == ["src/rota/old.py: 600 lines, at most 500 [long-file]"]
    assert ratchet([LONG._replace(value=599)], excused) == [
        "src/rota/old.py: grandfathered.txt allows 600; lower it to 599"
    ]
    assert ratchet([], excused) == ["src/rota/old.py: grandfathered.txt excuses long-file in vain; remove the line"]


def test_an_excuse_without_a_reason_is_refused() -> None:
    with pytest.raises(AssertionError, match="reason"):
        parse_grandfathered("long-file src/rota/old.py 600")
