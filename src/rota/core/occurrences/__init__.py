"""Occurrences: when a trigger fires. Pure; docs/occurrences.md has the rules in words.

    syntax, items, fields, hashing  an expression becomes sets of numbers
    matching                        the sets become local seconds, on a clock that never jumps
    tzif, zones                     the tz database becomes tables of clock changes
    timeline                        local seconds are laid on real time (daylight saving, by policy)
    sources, calendars              streams of fires; days on which nothing may fire
    compiled, preview, explaining   what the rest of Rota asks
    validation                      what is wrong with a trigger

This package has no clock: "next" is always next after an instant that the caller gives.
"""

from rota.core.occurrences.compiled import Occurrences, compile_trigger
from rota.core.occurrences.fields import CronSyntaxError
from rota.core.occurrences.hashing import jitter_offset
from rota.core.occurrences.preview import PreviewItem, preview
from rota.core.occurrences.validation import validate_trigger

__all__ = [
    "CronSyntaxError",
    "Occurrences",
    "PreviewItem",
    "compile_trigger",
    "jitter_offset",
    "preview",
    "validate_trigger",
]
