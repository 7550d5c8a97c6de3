"""Reading real crontabs: text in, schedules out, and for every line that gives none the reason.

It decides what a crontab line means (crontab(5) of Debian's cron, plus cronie's CRON_TZ): environment lines hold for
the lines below them, `%` cuts the command from its standard input, a system crontab has a user column. It reads no
file, looks up no user and stores nothing.

Three kinds of answer, told apart because they have different consequences:
- an *entry* becomes a schedule;
- a *refusal* is a correct line that Rota will not run (`@reboot`, another user): the rest may be imported without it;
- an *error* is a line that cron itself would reject: nothing of the file should be stored.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from msgspec import Struct, structs

from rota.core.occurrences import validate_trigger
from rota.domain.policies import Policies, RetryPolicy
from rota.domain.problems import FieldProblem
from rota.domain.schedule import ScheduleDraft
from rota.domain.targets import TaskTarget
from rota.domain.triggers import CronTrigger

LINE_LENGTH_MAX = 8_192
NAME_SLUG_LENGTH_MAX = 40
LABEL_SOURCE = "source"

_ENVIRONMENT_LINE = re.compile(
    r"""^\s*(?P<name>"[^"]*"|'[^']*'|[^\s=#"']+)\s*=\s*(?P<value>.*?)\s*$""",
)
_TIME_WORD = re.compile(r"^[-\d*?,/A-Za-z~#]+$")
_FOR_CRON_ITSELF = frozenset({"SHELL", "CRON_TZ", "MAILTO", "MAILFROM"})
_NICKNAME_ANSWERS = {
    "@reboot": (
        "@reboot fires when the machine starts, which a schedule of a fleet cannot know",
        "leave it to the machine (a systemd unit), or give the line a time",
    ),
}

# cron starts a job at its time whatever runs already, never tries it again, and sets no time limit. One thing is
# deliberately better: after an outage each job that was missed runs once.
CRON_POLICIES = Policies(
    overlap="allow",
    misfire="fire_once",
    misfire_grace_seconds=60.0,
    timeout_seconds=86_400.0,
    retry=RetryPolicy(attempts_max=1),
)


class CrontabOptions(Struct, frozen=True):
    """`user` is who the commands will run as; only where that is root may a line name somebody else."""

    user: str
    user_column: bool = False
    timezone: str = "UTC"
    source: str = "crontab"

    @property
    def may_become_anyone(self) -> bool:
        return self.user == "root"


class CrontabEntry(Struct, frozen=True):
    """A line that became a schedule. `note` tells what was understood and is not obvious, or is empty."""

    line_no: int
    draft: ScheduleDraft
    note: str = ""


class CrontabRefusal(Struct, frozen=True):
    """A line without a schedule, and why. The problem's field is `line N`, with the cron field where one is wrong."""

    line_no: int
    text: str
    problem: FieldProblem


class CrontabReading(Struct, frozen=True):
    """The whole file, in order of lines."""

    entries: tuple[CrontabEntry, ...]
    refusals: tuple[CrontabRefusal, ...]
    errors: tuple[CrontabRefusal, ...]


class _Refused(Exception):
    """One line's refusal or error on its way out of the parser."""

    def __init__(self, field: str, problem: str, remedy: str, *, is_error: bool = True) -> None:
        super().__init__(problem)
        self.problem = FieldProblem(field, problem, remedy)
        self.is_error = is_error


class _Line(Struct, frozen=True):
    """The parts of one job line."""

    expression: str
    user: str | None
    command: str
    stdin: str | None


def read_crontab(text: str, options: CrontabOptions) -> CrontabReading:
    """Read a whole crontab. Never raises for what the text holds: every bad line is in `errors`."""
    environment: dict[str, str] = {}
    entries: list[CrontabEntry] = []
    refusals: list[CrontabRefusal] = []
    errors: list[CrontabRefusal] = []
    for line_no, line in enumerate(text.splitlines(), start=1):
        try:
            entry = _read_line(line_no, line, environment, options)
        except _Refused as refused:
            kept = CrontabRefusal(line_no, line.strip(), refused.problem.under(f"line {line_no}"))
            (errors if refused.is_error else refusals).append(kept)
        else:
            entries.extend([entry] if entry else [])
    return CrontabReading(_with_unique_names(entries), tuple(refusals), tuple(errors))


def _read_line(line_no: int, line: str, environment: dict[str, str], options: CrontabOptions) -> CrontabEntry | None:
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return None
    if len(line) > LINE_LENGTH_MAX:
        raise _Refused("", f"longer than {LINE_LENGTH_MAX} characters", "put the command into a script")
    if "\0" in line:
        raise _Refused("", "holds a NUL byte", "save the file as plain text")
    assignment = _assignment(stripped)
    if assignment is not None:
        _set_variable(environment, *assignment)
        return None
    return _entry(line_no, _split(stripped, options), environment, options)


def _assignment(stripped: str) -> tuple[str, str] | None:
    """A line is an assignment when a name and `=` stand before anything that a time field could not hold."""
    match = _ENVIRONMENT_LINE.match(stripped)
    if match is None or stripped.startswith("@"):
        return None
    return _unquoted(match["name"]), _unquoted(match["value"])


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _set_variable(environment: dict[str, str], name: str, value: str) -> None:
    if name in {"LOGNAME", "USER"}:
        raise _Refused(name, "cron sets this one itself", "delete the line; the job runs under its own user's name")
    if name == "CRON_TZ":
        _check_trigger(CronTrigger(expression="* * * * *", timezone=value))
    environment[name] = value


def _split(stripped: str, options: CrontabOptions) -> _Line:
    """Cut a job line into its time fields, its user and its command."""
    fields_count = 1 if stripped.startswith("@") else 5
    # SUSE's and cronie's leading minus asks cron not to log the job; the time begins behind it.
    body = stripped[1:] if stripped.startswith("-") and not stripped.startswith("--") else stripped
    wanted = fields_count + (1 if options.user_column else 0)
    parts = body.split(None, wanted)
    expression = " ".join(parts[:fields_count])
    _check_time_words(parts[:fields_count], fields_count)
    if len(parts) <= wanted:
        missing = "user and command" if len(parts) <= fields_count and options.user_column else "command"
        raise _Refused("command", f"the {missing} is missing", _missing_remedy(options))
    command, stdin = cut_stdin(parts[wanted])
    if not command.strip():
        raise _Refused("command", "the command is empty", "give a command before the first %")
    return _Line(expression, parts[fields_count] if options.user_column else None, command, stdin)


def _missing_remedy(options: CrontabOptions) -> str:
    if options.user_column:
        return "write five time fields, a user and a command; leave out --user-column for a user's own crontab"
    return "write five time fields (or @daily and the like) and a command"


def _check_time_words(words: Iterable[str], fields_count: int) -> None:
    if fields_count == 1:
        for word in words:
            if word in _NICKNAME_ANSWERS:
                raise _Refused("time", *_NICKNAME_ANSWERS[word], is_error=False)
        return
    for number, word in enumerate(words, start=1):
        if not _TIME_WORD.match(word):
            raise _Refused(
                "time",
                f"field {number} ({word!r}) is no time field",
                "write minute hour day-of-month month day-of-week",
            )


def cut_stdin(text: str) -> tuple[str, str | None]:
    r"""Command and standard input: an unescaped `%` is a newline, the first begins the input; `\%` is a %."""
    pieces = [piece.replace("\\%", "%") for piece in re.split(r"(?<!\\)%", text)]
    return pieces[0], "\n".join(pieces[1:]) if len(pieces) > 1 else None


def _entry(line_no: int, line: _Line, environment: Mapping[str, str], options: CrontabOptions) -> CrontabEntry:
    trigger = CronTrigger(expression=line.expression, timezone=environment.get("CRON_TZ", options.timezone))
    _check_trigger(trigger)
    _check_user(line.user, options)
    draft = ScheduleDraft(
        name=_name(line, trigger.timezone),
        triggers=(trigger,),
        target=TaskTarget("rota.exec", _exec_args(line, environment, options)),
        policies=CRON_POLICIES,
        description=f"{options.source}, line {line_no}",
        labels={LABEL_SOURCE: "crontab"},
    )
    return CrontabEntry(line_no, draft, _note(environment))


def _check_trigger(trigger: CronTrigger) -> None:
    for problem in validate_trigger(trigger):
        field = "CRON_TZ" if problem.field == "timezone" else problem.field
        raise _Refused(field, problem.problem, problem.remedy)


def _check_user(user: str | None, options: CrontabOptions) -> None:
    if user is None or user == options.user or options.may_become_anyone:
        return
    raise _Refused(
        "user",
        f"the line is for user {user!r}, and commands here run as {options.user!r}",
        f"import it on a worker that runs as {user!r}, or run the worker as root",
        is_error=False,
    )


def _exec_args(line: _Line, environment: Mapping[str, str], options: CrontabOptions) -> dict[str, object]:
    args: dict[str, object] = {"command": line.command}
    passed = {name: value for name, value in environment.items() if name not in _FOR_CRON_ITSELF}
    if "SHELL" in environment:
        args["shell"] = environment["SHELL"]
    if passed:
        args["env"] = passed
    if line.stdin is not None:
        args["stdin"] = line.stdin
    if line.user is not None and line.user != options.user:
        args["user"] = line.user
    return args


def _note(environment: Mapping[str, str]) -> str:
    recipient = environment.get("MAILTO")
    if recipient is None:
        return ""
    if not recipient:
        return "MAILTO is empty: cron would mail nothing; the output is kept with each run"
    return f"MAILTO={recipient}: the output is kept with each run instead of being mailed"


def _name(line: _Line, timezone: str) -> str:
    """A readable name that a second import of the same line gives again."""
    words = re.sub(r"[^a-z0-9]+", "-", line.command.lower()).strip("-")
    slug = words[:NAME_SLUG_LENGTH_MAX].strip("-") or "job"
    identity = "\0".join((line.expression, timezone, line.user or "", line.command, line.stdin or ""))
    return f"{slug}-{blake2b(identity.encode(), digest_size=3).hexdigest()}"


def _with_unique_names(entries: Iterable[CrontabEntry]) -> tuple[CrontabEntry, ...]:
    """The same line twice in one file stays two jobs, as in cron: the later ones are numbered."""
    seen: dict[str, int] = {}
    named: list[CrontabEntry] = []
    for entry in entries:
        count = seen[entry.draft.name] = seen.get(entry.draft.name, 0) + 1
        draft = entry.draft if count == 1 else structs.replace(entry.draft, name=f"{entry.draft.name}-{count}")
        named.append(structs.replace(entry, draft=draft))
    return tuple(named)
