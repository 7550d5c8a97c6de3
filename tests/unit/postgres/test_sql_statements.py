import pytest

from rota.storage.postgres.sql_statements import SqlStatement, split_statements


def texts(sql: str) -> list[str]:
    return [statement.text for statement in split_statements(sql)]


def test_statements_end_at_semicolons_and_know_their_line() -> None:
    found = split_statements("-- why\nSELECT 1;\n\n  SELECT\n  2 ;\nSELECT 3")

    assert found == [SqlStatement("SELECT 1", 2), SqlStatement("SELECT\n  2", 4), SqlStatement("SELECT 3", 6)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ';'",
        "SELECT 'it''s; fine'",
        r"SELECT E'\';'",
        r"SELECT 'backslash\' , ';'",
        'SELECT 1 AS "a;""b;"',
        "SELECT 1 -- a; comment",
        "SELECT /* a; /* nested; */ comment; */ 1",
        "DO $$ BEGIN PERFORM 1; END $$",
        "DO $body$ BEGIN PERFORM '$$;'; END $body$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 ELSE 2 END; SELECT 2; END",
        "SELECT a$1; SELECT 2".partition(";")[0],
    ],
)
def test_what_only_looks_like_an_end_is_none(statement: str) -> None:
    assert texts(f"{statement}\n;SELECT 'next'") == [statement, "SELECT 'next'"]


@pytest.mark.parametrize("sql", ["", ";;", "-- only a comment", "/* open", " \n"])
def test_without_words_there_is_no_statement(sql: str) -> None:
    assert texts(sql) == []


@pytest.mark.parametrize("sql", ["SELECT 'open", 'SELECT "open', "SELECT $$ open;"])
def test_an_unclosed_quote_is_left_for_the_server_to_refuse(sql: str) -> None:
    assert texts(sql)[0].startswith("SELECT")


def test_a_transaction_block_is_no_function_body() -> None:
    assert texts("BEGIN; SELECT 1; END; SELECT 2;") == ["BEGIN", "SELECT 1", "END", "SELECT 2"]
