"""Crontabs as people have them: what each line becomes, and why some become nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.core.crontab import CrontabEntry, CrontabOptions, cut_stdin, read_crontab
from rota.core.validation import validate_draft
from rota.domain.targets import TaskTarget
from rota.domain.triggers import CronTrigger

REAL_WORLD = (Path(__file__).parent / "real_world.crontab").read_text(encoding="utf-8")
ME = CrontabOptions(user="alice")
SYSTEM = CrontabOptions(user="alice", user_column=True)
ROOT = CrontabOptions(user="root", user_column=True)


def only_entry(text: str, options: CrontabOptions = ME) -> CrontabEntry:
    reading = read_crontab(text, options)
    assert reading.errors == ()
    assert len(reading.entries) == 1
    return reading.entries[0]


def args_of(entry: CrontabEntry) -> dict[str, object]:
    assert isinstance(entry.draft.target, TaskTarget)
    assert entry.draft.target.task == "rota.exec"
    return entry.draft.target.args


def trigger_of(entry: CrontabEntry) -> CronTrigger:
    trigger = entry.draft.triggers[0]
    assert isinstance(trigger, CronTrigger)
    return trigger


def test_a_real_crontab_becomes_valid_schedules_and_only_reboot_is_refused() -> None:
    reading = read_crontab(REAL_WORLD, ME)

    assert reading.errors == ()
    assert len(reading.entries) >= 30
    assert [one.text.split()[0] for one in reading.refusals] == ["@reboot"]
    assert all(validate_draft(entry.draft) == () for entry in reading.entries)
    names = [entry.draft.name for entry in reading.entries]
    assert len(set(names)) == len(names)


def test_reading_the_same_file_again_gives_the_same_names() -> None:
    first, second = read_crontab(REAL_WORLD, ME), read_crontab(f"# moved down\n{REAL_WORLD}", ME)

    assert [one.draft.name for one in first.entries] == [one.draft.name for one in second.entries]


def test_the_same_line_twice_stays_two_jobs() -> None:
    reading = read_crontab("* * * * * true\n* * * * * true\n", ME)

    first, second = (one.draft.name for one in reading.entries)
    assert second == f"{first}-2"


def test_variables_hold_for_the_lines_below_them_only() -> None:
    reading = read_crontab("1 * * * * a\nX=1\nSHELL=/bin/zsh\n2 * * * * b\nX=2\n3 * * * * c\n", ME)

    assert [args_of(one) for one in reading.entries] == [
        {"command": "a"},
        {"command": "b", "shell": "/bin/zsh", "env": {"X": "1"}},
        {"command": "c", "shell": "/bin/zsh", "env": {"X": "2"}},
    ]


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("A=b", "A", "b"),
        ("A = b c ", "A", "b c"),
        ('A="b c "', "A", "b c "),
        ("A='b'", "A", "b"),
        ('"A B"=c', "A B", "c"),
        ("A=", "A", ""),
        ("A=x=y", "A", "x=y"),
        ("A=$HOME/x", "A", "$HOME/x"),
    ],
)
def test_assignments_are_read_as_cron_reads_them(line: str, name: str, value: str) -> None:
    assert args_of(only_entry(f"{line}\n* * * * * true\n"))["env"] == {name: value}


def test_cron_tz_sets_the_zone_and_mailto_is_noted() -> None:
    entry = only_entry("CRON_TZ=America/New_York\nMAILTO=ops@example.org\n30 9 * * 1-5 echo hi\n")

    assert trigger_of(entry).timezone == "America/New_York"
    assert "env" not in args_of(entry)
    assert "ops@example.org" in entry.note


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("echo hi", "echo hi", None),
        ("mail x%Dear%%you%", "mail x", "Dear\n\nyou\n"),
        (r"date +\%F", "date +%F", None),
        (r"cat%100\%", "cat", "100%"),
    ],
)
def test_percent_cuts_the_command_from_its_standard_input(text: str, command: str, stdin: str | None) -> None:
    assert cut_stdin(text) == (command, stdin)


def test_cron_semantics_are_kept_overlap_allowed_and_no_second_try() -> None:
    policies = only_entry("* * * * * true\n").draft.policies

    assert policies.overlap == "allow"
    assert policies.retry.attempts_max == 1


def test_another_user_is_refused_unless_the_commands_run_as_root() -> None:
    text = "0 1 * * * alice mine\n0 1 * * * bob theirs\n"

    mine, all_of_them = read_crontab(text, SYSTEM), read_crontab(text, ROOT)

    assert [args_of(one)["command"] for one in mine.entries] == ["mine"]
    assert "bob" in mine.refusals[0].problem.problem
    assert [args_of(one).get("user") for one in all_of_them.entries] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("line", "field", "word"),
    [
        ("61 * * * * true", "minute", "61"),
        ("* * * *", "command", "missing"),
        ("* * * * *", "command", "missing"),
        ("@daily", "command", "missing"),
        ("@fortnightly true", "expression", "fortnightly"),
        ("* * 31 2 foo true", "day_of_week", "FOO"),
        ("hello there, general kenobi you are bold", "minute", "HELLO"),
        ("0 5 $x * * true", "time", "$x"),
        ("CRON_TZ=Mars/Base", "CRON_TZ", "Mars"),
        ("LOGNAME=root", "LOGNAME", "itself"),
        ("* * * * * %input only", "command", "empty"),
        ("0 0 * * * " + "x" * 9_000, "line 1", "longer"),
        ("* * * * * a\0b", "line 1", "NUL"),
    ],
)
def test_a_wrong_line_is_an_error_that_names_line_field_and_remedy(line: str, field: str, word: str) -> None:
    reading = read_crontab(f"{line}\n1 1 * * * fine\n", ME)

    assert len(reading.errors) == 1
    error = reading.errors[0]
    assert error.line_no == 1
    assert error.problem.field.startswith("line 1")
    assert field in f"{error.problem.field} {error.problem.problem}"
    assert word in f"{error.problem.problem} {error.problem.field}"
    assert error.problem.remedy
    assert len(reading.entries) == 1


@given(text=st.text(max_size=300), user_column=st.booleans())
def test_no_text_breaks_the_reader(text: str, *, user_column: bool) -> None:
    reading = read_crontab(text, CrontabOptions(user="alice", user_column=user_column))

    for entry in reading.entries:
        assert validate_draft(entry.draft) == ()


@given(
    st.lists(st.sampled_from(["*", "*/5", "1", "@daily", "1-5", "%", "\\%", "A=1", "root", "x", "é", "#"]), max_size=12)
)
def test_no_mixture_of_cron_words_breaks_the_reader(words: list[str]) -> None:
    reading = read_crontab(" ".join(words), ROOT)

    assert len(reading.entries) + len(reading.errors) + len(reading.refusals) <= 1
    for entry in reading.entries:
        assert validate_draft(entry.draft) == ()
