"""What a request for a lock must look like: each value that is wrong gives a problem of its field."""

import re

from rota.core.field_rules import Problems, TextRule, number_problems, text_problems
from rota.domain.lock import LOCK_TTL_SECONDS_MAX, LOCK_TTL_SECONDS_MIN, LOCK_WAIT_SECONDS_MAX

LOCK_NAME_RULE = TextRule(
    200,
    re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@-]*[A-Za-z0-9])?"),
    "letters, digits, '.', '_', ':', '@' and '-', beginning and ending with a letter or digit",
)
HOLDER_RULE = TextRule(200, re.compile(r"\S(?:.*\S)?"), "printable text without a space at its beginning or end")


def name_problems(name: str) -> Problems:
    yield from text_problems("name", name, LOCK_NAME_RULE)


def holder_problems(holder: str) -> Problems:
    yield from text_problems("holder", holder, HOLDER_RULE)


def ttl_problems(ttl_seconds: float) -> Problems:
    yield from number_problems("ttl_seconds", ttl_seconds, LOCK_TTL_SECONDS_MIN, LOCK_TTL_SECONDS_MAX, "seconds")


def wait_problems(wait_seconds: float) -> Problems:
    yield from number_problems("wait_seconds", wait_seconds, 0.0, LOCK_WAIT_SECONDS_MAX, "seconds")
