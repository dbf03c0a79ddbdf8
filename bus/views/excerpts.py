"""What of a long message is shown where it was found: the place of the hit, with the words marked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from django.utils.html import format_html, format_html_join

from crosswire.lib import words

SHOWN = 320
BEFORE = 80
_ASCII = re.compile(r"[\x00-\x7f]+|[^\x00-\x7f]")
_BLANKS = re.compile(r"\s+")


def excerpt(content: str, query: str) -> str:
    """Return the part of a text around the first hit as safe HTML; every hit in it stands in `<mark>`."""
    text = _BLANKS.sub(" ", content).strip()
    hits = list(_hits(text, query))
    start = max(0, hits[0][0] - BEFORE) if hits and hits[0][1] > SHOWN else 0
    end = min(len(text), start + SHOWN)
    pieces, at = [], start
    for first, last in hits:
        if first < at or first >= end:
            continue
        pieces += [(text[at:first], text[first : min(last, end)])]
        at = min(last, end)
    marked = format_html_join("", "{}<mark>{}</mark>", pieces)
    return format_html("{}{}{}{}", "… " if start else "", marked, text[at:end], " …" if end < len(text) else "")


def _hits(text: str, query: str) -> Iterator[tuple[int, int]]:
    """Return where the query's words are, in the text as it stands: whole words and beginnings, else anywhere."""
    sought = {
        words.folded(each)
        for asked in (query, words.without_wrappers(query))
        for each in (asked.strip(), *words.of_query(asked).words, *words.of_query(asked).literals)
    }
    parts = "|".join(re.escape(each) for each in sorted(sought, key=len, reverse=True) if each.strip())
    if not parts:
        return
    folded, places = _folded(text)
    found = list(re.finditer(rf"(?<![^\W_])(?:{parts})+", folded)) or list(re.finditer(f"(?:{parts})+", folded))
    for hit in found:
        first = hit.start() if places is None else places[hit.start()]
        last = hit.end() if places is None else places[hit.end() - 1] + 1
        if last > first:
            yield first, last


def _folded(text: str) -> tuple[str, list[int] | None]:
    """Return the text without case and accents, and for each of its characters where it comes from (None: there)."""
    if text.isascii():
        return text.lower(), None
    pieces: list[str] = []
    places: list[int] = []
    for run in _ASCII.finditer(text):
        piece = run[0].lower() if run[0].isascii() else _folded_sign(run[0])
        pieces.append(piece)
        places += range(run.start(), run.end()) if run[0].isascii() else [run.start()] * len(piece)
    return "".join(pieces), places


@lru_cache(maxsize=4_096)
def _folded_sign(sign: str) -> str:
    return words.folded(sign)
