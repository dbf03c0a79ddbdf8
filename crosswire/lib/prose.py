"""Text that somebody wrote, put into a Markdown file: names as they are, messages quoted, raw HTML shown as text."""

from __future__ import annotations

import re

_SIGN = re.compile(r"([\\`*_{}\[\]()<>#+=!|~&-])")
_TAG = re.compile(r"(?<!\\)((?:\\\\)*)<(?=[A-Za-z/!?])")
"""What a renderer may take for HTML; behind an odd number of backslashes it takes it for text already."""
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_LIKE_FENCE = re.compile(r"[\s>*+0-9.)-]*(?:`{3}|~{3})")
_TICKS = re.compile(r"`+")


def escaped(text: str) -> str:
    """Return text on one line, with nothing in it that Markdown takes for a sign."""
    return _SIGN.sub(r"\\\1", " ".join(text.split()))


def quoted(text: str) -> str:
    """Return text as a quote: its Markdown stays, its HTML is shown as it was written."""
    lines = [line.rstrip() for line in text.splitlines()]
    if _TAG.search(text):
        lines = _without_html(lines) or [_shown(line) for line in lines]
    return "\n".join(f"> {line}" if line else ">" for line in lines) or ">"


def _shown(text: str) -> str:
    return _TAG.sub(r"\1\\<", text)


def _without_html(lines: list[str]) -> list[str] | None:
    """Return lines with HTML made text but where it is code, which stays. None when renderers might differ on that."""
    told: list[str] = []
    fence = ""
    for line in lines:
        if fence:
            rest = line.lstrip(fence[0])
            if len(line) - len(rest) >= len(fence) and not rest:
                fence = ""
            elif line[:1].isspace() and line.lstrip().startswith(fence):
                return None
            told.append(line)
        elif opened := _FENCE.match(line):
            fence = opened[1] or opened[2]
            told.append(_shown(line))
        else:
            spans = None if _LIKE_FENCE.match(line) else _around_code(line)
            if spans is None:
                return None
            told.append(spans)
    return told


def _around_code(line: str) -> str | None:
    """Return a line with HTML made text outside its spans of code. None when it does not end all it begins."""
    told, at = "", 0
    while opened := _TICKS.search(line, at):
        closed = next((each for each in _TICKS.finditer(line, opened.end()) if each[0] == opened[0]), None)
        if closed is None or line.endswith("\\", 0, opened.start()) or "|" in line[opened.end() : closed.start()]:
            return None
        told += _shown(line[at : opened.start()]) + line[opened.start() : closed.end()]
        at = closed.end()
    return told + _shown(line[at:])
