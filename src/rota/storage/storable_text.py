"""What workers report is stored whatever it holds: U+0000, which PostgreSQL cannot keep, is shown as U+FFFD.

One line of output or one result must not harm the batch that it travels in. What callers ask for is refused instead.
"""

import re

# An escaped U+0000 behind an even number of backslashes.
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable_text(text: str) -> str:
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def storable_json(text: str) -> str:
    """The same for JSON text, where the character is escaped."""
    return _ESCAPED_NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text
