from datetime import UTC, date, datetime, timedelta
from math import isfinite

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rota.core.occurrences import CronSyntaxError, compile_trigger, jitter_offset, preview, validate_trigger
from rota.core.occurrences.fields import FIELDS
from rota.core.occurrences.syntax import CronSpec, parse_cron
from rota.domain.triggers import AtTrigger, Calendar, CronTrigger, IntervalTrigger, Trigger, Weekday
from tests.property.occurrences.patience import PATIENT

FIELD_NAMES = {field.name for field in FIELDS} | {"expression"}
CRON_LIKE = st.text(alphabet="0123456789*/-,?LWH#()@ \tJANMOFRISUdaily²", max_size=40)
SIX_FIELDS = st.lists(
    st.text(alphabet="0123456789*/-,?LWH#()MONFRIAUG", min_size=1, max_size=8), min_size=5, max_size=6
)
INSTANTS = st.datetimes() | st.datetimes(timezones=st.just(UTC))
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
WEEKDAYS: st.SearchStrategy[Weekday] = st.sampled_from(["mon", "sun"])
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@settings(PATIENT, max_examples=1_500)
@given(st.one_of(st.text(max_size=40), CRON_LIKE, SIX_FIELDS.map(" ".join)))
def test_any_text_is_read_or_refused_by_field(text: str) -> None:
    outcome = read(text)

    if isinstance(outcome, CronSyntaxError):
        assert outcome.field in FIELD_NAMES
        assert outcome.problem
        assert outcome.remedy
        assert outcome.problems[0].field == "expression"
    else:
        assert outcome.seconds
        assert outcome.minutes
        assert outcome.hours
        assert outcome.months


def read(text: str) -> CronSpec | CronSyntaxError:
    try:
        return parse_cron(text, "key")
    except CronSyntaxError as error:
        return error


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    return Calendar(
        exclude_dates=tuple(draw(st.lists(st.dates(), max_size=3))),
        exclude_annual=tuple(draw(st.lists(st.sampled_from(["12-25", "02-29", "02-30", "1-1", ""]), max_size=2))),
        weekdays=tuple(draw(st.lists(WEEKDAYS, max_size=2))),
        include_dates=tuple(draw(st.lists(st.dates(date(2020, 1, 1)), max_size=2))),
        timezone=draw(st.sampled_from([None, "UTC", "Asia/Gaza", "Nowhere/Land"])),
        on_excluded=draw(st.sampled_from(["skip", "next_business_day"])),
    )


@st.composite
def triggers(draw: st.DrawFn) -> Trigger:
    trigger = draw(
        st.one_of(
            st.builds(
                CronTrigger,
                expression=st.one_of(CRON_LIKE, st.sampled_from(["0 2 * * *", "*/10 * * * * *", "0 0 29 2 *"])),
                timezone=st.sampled_from(["UTC", "Europe/Paris", "../../etc/passwd", ""]) | st.text(max_size=10),
            ),
            st.builds(IntervalTrigger, every_seconds=NUMBERS | st.floats(0.01, 1e6)),
            st.builds(AtTrigger, at=INSTANTS),
        )
    )
    return msgspec.structs.replace(
        trigger,
        start_at=draw(st.none() | INSTANTS),
        end_at=draw(st.none() | INSTANTS),
        fires_max=draw(st.none() | st.integers(-3, 10)),
        jitter_seconds=draw(st.just(0.0) | NUMBERS),
        calendar=draw(st.none() | calendars()),
    )


@settings(PATIENT, max_examples=500)
@given(triggers(), INSTANTS)
def test_a_trigger_without_problems_compiles_and_answers(trigger: Trigger, after: datetime) -> None:
    problems = validate_trigger(trigger)
    for problem in problems:
        assert problem.field
        assert problem.problem
        assert problem.remedy
    if not problems:
        occurrences = compile_trigger(trigger, hash_key="key", anchor=NOW)
        after = after.replace(tzinfo=UTC)
        fire = occurrences.next_after(after)
        fires = [item.fire_at for item in preview(occurrences, after, 2) if item.fires]
        assert fire is None or fire > after
        assert fires[:1] == ([] if fire is None else [fire])


@settings(PATIENT)
@given(triggers())
def test_the_wire_form_of_a_trigger_is_the_trigger(trigger: Trigger) -> None:
    assume(isfinite(trigger.jitter_seconds) and isfinite(getattr(trigger, "every_seconds", 0.0)))
    wire = msgspec.json.encode(trigger)

    assert msgspec.json.encode(msgspec.json.decode(wire, type=Trigger)) == wire


@settings(PATIENT)
@given(
    st.floats(0.001, 1e7),
    st.integers(1990, 2100).map(lambda year: datetime(year, 2, 28, 23, 59, tzinfo=UTC)),
    st.integers(0, 100_000),
)
def test_an_interval_never_drifts(every_seconds: float, start: datetime, count: int) -> None:
    every = timedelta(microseconds=round(every_seconds * 1e6))
    count = min(count, (datetime(2150, 1, 1, tzinfo=UTC) - start) // every)
    occurrences = compile_trigger(IntervalTrigger(every_seconds, start_at=start), hash_key="", anchor=NOW)
    nominal = start + count * every

    assert occurrences.next_after(nominal - timedelta(microseconds=1)) == nominal
    assert occurrences.next_after(nominal) == nominal + every


@settings(PATIENT)
@given(st.text(), st.datetimes(timezones=st.just(UTC)), st.just(0.0) | st.floats(0.001, 86_400))
def test_jitter_is_within_its_bound_and_repeatable(trigger_id: str, fire_at: datetime, jitter_seconds: float) -> None:
    offset = jitter_offset(trigger_id, fire_at, jitter_seconds)

    assert offset == jitter_offset(trigger_id, fire_at, jitter_seconds)
    assert 0 <= offset < jitter_seconds or offset == jitter_seconds == 0
