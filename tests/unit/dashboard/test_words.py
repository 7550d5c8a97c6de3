from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from rota.dashboard import words
from rota.domain.ids import RunId, ScheduleId, TenantId
from rota.domain.policies import Policies, RetryPolicy, RunPolicy
from rota.domain.run import LogLine, Run, RunError
from rota.domain.schedule import Schedule
from rota.domain.targets import HttpTarget, Target, TaskTarget
from rota.domain.triggers import AtTrigger, CronTrigger, IntervalTrigger, Trigger

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
RUN = Run(RunId("r"), TenantId("t"), "succeeded", "fired on time", NOW, NOW, "default", 0, TaskTarget("x"), RunPolicy())
SCHEDULE = Schedule(
    ScheduleId("s"), TenantId("t"), "nightly", 1, True, (), TaskTarget("x"), Policies(), NOW, "a", NOW, "a"
)


def line(text: str, seq: int = 1) -> LogLine:
    return LogLine(RunId("r"), 1, seq, NOW, "stdout", text)


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        (CronTrigger(expression="0 2 * * *"), "0 2 * * *"),
        (CronTrigger(expression="0 2 * * *", timezone="Europe/Paris"), "0 2 * * * · Europe/Paris"),
        (IntervalTrigger(every_seconds=0.25), "every 250 ms"),
        (IntervalTrigger(every_seconds=90), "every 1 min 30 s"),
        (IntervalTrigger(every_seconds=100_000), "every 1 d 3 h 46 min 40 s"),
        (AtTrigger(at=NOW), "once at 2026-03-04 05:06Z"),
    ],
)
def test_triggers(trigger: Trigger, said: str) -> None:
    assert words.trigger_words(trigger) == said


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (TaskTarget("report"), "report"),
        (TaskTarget("report", {"format": "pdf"}), 'report {"format":"pdf"}'),
        (TaskTarget("rota.exec", {"command": "df -h", "env": {"KEY": "secret"}}), "df -h"),
        (TaskTarget("rota.exec", {"command": ["df", "-h"]}), "df -h"),
        (TaskTarget("rota.exec", {"command": "one\n  two"}), "one two"),
        (HttpTarget("http://x/y", "GET", {"Authorization": "secret"}), "GET http://x/y"),
    ],
)
def test_targets_are_told_in_a_line_without_credentials(target: Target, said: str) -> None:
    assert words.target_words(target) == said


def test_a_long_command_is_cut_in_a_row_and_whole_on_its_page() -> None:
    target = TaskTarget("rota.exec", {"command": "x" * 500})

    assert words.target_words(target) == "x" * (words.COMMAND_LENGTH_MAX - 1) + "…"
    assert words.whole_target_words(target) == "x" * 500


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 ms"),
        (0.0144, "14 ms"),
        (2.34, "2.3 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (65.0, "1 min 5 s"),
        (3_600.0, "1 h"),
        (3_661.0, "1 h 1 min"),
        (86_400.0 * 3 + 3_600 * 4 + 59, "3 d 4 h"),
    ],
)
def test_durations_have_the_two_largest_units(seconds: float, said: str) -> None:
    assert words.duration_words(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.5, "500 ms"), (1.5, "1.5 s"), (61.5, "1 min 1.5 s"), (60.5, "1 min 0.5 s"), (7_200, "2 h")]
)
def test_intervals_are_told_exactly(seconds: float, said: str) -> None:
    assert words.exact_words(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "now"),
        (0.9, "now"),
        (-0.9, "now"),
        (1.0, "in 1 s"),
        (-119.0, "1 min ago"),
        (7_300, "in 2 h"),
        (-2e5, "2 d ago"),
    ],
)
def test_moments_are_told_by_their_distance(seconds: float, said: str) -> None:
    assert words.relative_words(NOW + timedelta(seconds=seconds), NOW) == said


def test_no_moment_is_a_dash() -> None:
    assert words.relative_words(None, NOW) == "–"
    assert words.run_duration_words(RUN, NOW) == "–"


def test_a_run_that_goes_on_has_taken_the_time_until_now_and_never_less_than_none() -> None:
    started = structs.replace(RUN, started_at=NOW - timedelta(seconds=65))

    assert words.run_duration_words(started, NOW) == "1 min 5 s"
    assert words.run_duration_words(structs.replace(started, finished_at=NOW - timedelta(seconds=5)), NOW) == "1 min"
    assert words.run_duration_words(structs.replace(RUN, started_at=NOW + timedelta(seconds=1)), NOW) == "0 ms"


def test_a_schedule_is_deleted_before_it_needs_help_before_it_is_paused() -> None:
    paused = structs.replace(SCHEDULE, enabled=False)
    in_need = structs.replace(paused, needs_intervention=True)
    deleted = structs.replace(in_need, deleted_at=NOW)

    assert [words.schedule_state(schedule) for schedule in (SCHEDULE, paused, in_need, deleted)] == [
        "enabled",
        "paused",
        "needs intervention",
        "deleted",
    ]


def test_policies_are_told_in_sentences() -> None:
    assert words.overlap_words(Policies(overlap="queue_one")) == "let one wait"
    assert words.misfire_words(Policies()) == "fire once when late by more than 1 h"


@pytest.mark.parametrize(
    ("retry", "said"),
    [
        (RetryPolicy(attempts_max=1), "no"),
        (RetryPolicy(delays_seconds=()), "no"),
        (RetryPolicy(delays_seconds=(60, 3_600)), "after 1 min, 1 h"),
        (RetryPolicy(), "up to 5 attempts, after 5 s, each time × 2, at most 2 min"),
    ],
)
def test_retries(retry: RetryPolicy, said: str) -> None:
    assert words.retry_words(retry) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain <b>", "plain <b>"),
        ("\x1b[1;31mred\x1b[0m and \x1b]0;title\x07done", "red and done"),
        ("10 %\r50 %\r100 %", "100 %"),
        ("windows\r", "windows"),
        ("a\tb\x07c\x7f", "a\tb\ufffdc\ufffd"),
        ("", ""),
    ],
)
def test_output_is_told_without_what_moves_a_terminal(text: str, said: str) -> None:
    assert words.line_words(text) == said


def test_a_line_without_end_is_cut() -> None:
    assert len(words.line_words("x" * 100_000)) == words.LINE_LENGTH_MAX


def test_of_a_run_its_error_is_said_before_its_output() -> None:
    failed = structs.replace(RUN, state="failed", error=RunError("exit code 3"))

    assert words.run_saying(failed, [line("hello")]) == words.Saying("problem", "exit code 3")
    assert words.run_saying(structs.replace(failed, error=RunError("", "ValueError")), []).text == "ValueError"


def test_of_a_run_that_did_not_run_the_reason_is_said() -> None:
    skipped = structs.replace(RUN, state="skipped", reason="one still runs")

    assert words.run_saying(skipped, []) == words.Saying("reason", "one still runs")


def test_a_run_between_two_tries_says_so() -> None:
    waiting = structs.replace(RUN, state="queued", attempts_count=2)

    assert words.run_saying(waiting, [line("x")]).text == "waits to be tried again: 2 tried so far"


def test_of_output_the_last_line_with_something_in_it_is_said() -> None:
    assert words.run_saying(RUN, [line("one"), line("two", 2), line("  \x1b[0m", 3)]) == words.Saying("line", "two")
    assert words.run_saying(RUN, [line(" ")]) == words.Saying("nothing", "no output")


def test_a_large_result_is_cut() -> None:
    assert words.json_words({"a": [1, None]}) == '{"a":[1,null]}'
    assert len(words.json_words("x" * 100_000)) == words.RESULT_LENGTH_MAX


def test_a_summary_says_what_is_asked_first_and_leaves_zeros_out() -> None:
    built = {"dropped_dependencies_count": 1, "dependencies_count": 5, "components_count": 7}
    assert words.summary_words(built) == "7 components · 5 dependencies · 1 dropped dependency"
    assert words.summary_words({"findings_count": 0, "findings_by_severity": {}}) == "0 findings"
    assert (
        words.summary_words({"verdicts_count": 1, "violations_count": 0, "added_count": 0})
        == "0 violations · 1 verdict"
    )
    assert words.summary_words(None) == ""
