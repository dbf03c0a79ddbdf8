"""Words of a text as they are indexed and looked for: the same on every database, whatever its locale.

A word is a run of three or more letters or digits, without case and accents. Scripts that put no blanks between words
(Chinese, Japanese, Korean, Thai …) have none here: text in them is looked for as it stands.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import NamedTuple

LEAST = 3
LONGEST = 64
MOST_OF_A_TEXT = 4_000
"""Distinct words of one text that are indexed; a long essay has 3,000, an encoded file as many as it is long."""

_ACCENTS = re.compile("[\u0300-\u036f]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\uff66-\uffdc\U0001b000-\U0001b16f\U00020000-\U0003ffff]+"
)
# The vowel signs of the Indic scripts are no letters to `\w`; whole blocks belong to words.
_RUN = re.compile(r"(?:[^\W_]|[\u0900-\u0dff])+")
_ASCII_RUN = re.compile(r"[a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SENTENCE = ".,;:!?"
_WRAPPERS = str.maketrans(dict.fromkeys("\"'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb()[]{}<>*", " "))


_MARKS_AT_ONCE = 8
_MARK = f"[{''.join(mark for mark in map(chr, range(0x300, 0x20000)) if unicodedata.combining(mark))}]"
_MARKS = re.compile(f"({_MARK}{{{_MARKS_AT_ONCE}}}){_MARK}+")


class Query(NamedTuple):
    """What is looked for: `words`, each at the beginning of a word of the text, and `literals`, in the text as they
    stand. Without words all of the query is literal."""

    words: tuple[str, ...]
    literals: tuple[str, ...]


def folded(text: str) -> str:
    """Return the text without case and accents."""
    if text.isascii():
        return text.lower()
    text = _bounded(text)
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()))


def literal(text: str) -> str:
    """Return the text without case alone: what a literal search compares."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", _bounded(text).casefold())


def _bounded(text: str) -> str:
    """Return the text with few marks on a letter: to normalise puts them in order, at a cost that is quadratic."""
    return _MARKS.sub(r"\1", text)


def without_wrappers(query: str) -> str:
    """Return a query without quotes, brackets and `*`, which people and models put around words."""
    return query.translate(_WRAPPERS).strip()


def of_text(text: str) -> list[str]:
    """Return the distinct words to index; of `sendMessage` also `send` and `message`."""
    humps = _HUMP.sub(" ", text)
    runs = _runs(folded(text))
    if humps != text:
        runs += _runs(folded(humps))
    return [*dict.fromkeys(run[:LONGEST] for run in runs if len(run) >= LEAST)][:MOST_OF_A_TEXT]


def of_query(query: str) -> Query:
    """Take a query apart. Any text is one; nothing in it is syntax.

    A piece between blanks that is nothing but letters and digits, three at least, is looked for by words. Where there
    is such a piece, signs around the others fall away, and those that still are no words must stand in the text.
    """
    pieces = query.split()
    if not any(_words_of_piece(piece.rstrip(_SENTENCE)) for piece in pieces):
        return Query((), tuple(dict.fromkeys(literal(piece) for piece in pieces)) or (literal(query),))
    words: dict[str, None] = {}
    literals: dict[str, None] = {}
    for piece in pieces:
        bare = piece.strip(string.punctuation)
        found = _words_of_piece(bare)
        words.update(dict.fromkeys(found))
        if bare and (not found or len("".join(found)) < len(folded(bare).replace("_", ""))):
            literals[literal(piece.rstrip(_SENTENCE))] = None
    return Query(tuple(words), tuple(literals))


def _words_of_piece(piece: str) -> list[str]:
    """Return the words of a piece that has nothing but letters, digits and `_`, and the empty list for any other."""
    runs = _runs(folded(piece))
    if len("".join(runs)) < len(folded(piece).replace("_", "")):
        return []
    return [run[:LONGEST] for run in runs if len(run) >= LEAST]


def _runs(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_RUN.findall(text)
    return _RUN.findall(_UNSPACED.sub(" ", text))
