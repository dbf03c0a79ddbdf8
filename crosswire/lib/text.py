"""Rules for text that comes from outside."""

from __future__ import annotations

import re
import unicodedata

from crosswire.lib.errors import invalid

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CHANNEL_MOST = 80


def storable(field: str, value: str) -> str:
    """Return the text if every database and every JSON reader can take it: no NUL, no lone surrogate.

    Raises: CrossWireError `invalid_input`.
    """
    if _UNSTORABLE.search(value):
        raise invalid(f"{field} must not contain NUL characters or lone surrogates.", field=field)
    return value


def is_one_line(value: str) -> bool:
    """Return whether the text has no control, line-breaking or direction-changing character."""
    return not any(
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        or char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        for char in value
    )


def printable(value: str, most: int) -> str:
    """Return what of a text fits one line: no control, unstorable or direction-changing character, cut to length."""
    return "".join(char for char in value[: 4 * most] if is_one_line(char)).strip()[:most]


def one_line(field: str, value: str, *, most: int, least: int = 1) -> str:
    """Return the text if it is one line of `least` to `most` characters without blanks around it.

    Raises: CrossWireError `invalid_input`.
    """
    if not least <= len(value) <= most:
        raise invalid(f"{field} must have {least} to {most} characters.", field=field)
    if value != value.strip():
        raise invalid(f"{field} must not begin or end with blanks.", field=field)
    if not is_one_line(value):
        raise invalid(f"{field} must not contain control characters or line breaks.", field=field)
    return value


def channel_name(value: str) -> str:
    """Return the normal form of a channel name: lower case, `a-z 0-9 -` alone, no `-` at the ends or in runs.

    Raises: CrossWireError `invalid_input` when nothing is left or more than 80 characters are.
    """
    name = re.sub(r"[\s_]+", "-", value.lower())
    name = re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "", name)).strip("-")
    if not name:
        raise invalid("channel must contain at least one letter a-z or digit.", field="channel")
    if len(name) > _CHANNEL_MOST:
        raise invalid(f"channel must have at most {_CHANNEL_MOST} characters.", field="channel")
    return name
