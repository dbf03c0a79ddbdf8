"""Search: by words through the index, best match first; what has no words literally, newest first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta
from typing import Any

from accounts.principals import Principal
from bus import access, fulltext, retention
from bus.fulltext import Scope
from bus.models import Message
from bus.params import BIGGEST_ID
from bus.results import Found
from bus.services import reading
from crosswire.lib import words

SEARCHED_MOST = 5_000
"""Messages that a literal search looks through."""
RANKED_BY = 2_000
"""Characters of a message that decide its rank, from its beginning."""
READ_AT_ONCE = 250
_GROWTH = 4
READ_MOST = 16_000_000
"""Characters that one search reads, whatever the messages are."""

type Matches = tuple[list[int], int | None]
"""Numbers, best first, and back to which number was looked if not at everything."""


@dataclass(frozen=True)
class Hits:
    """Messages that match, best first; `back` is the number back to which was looked, None for all."""

    messages: list[Message]
    back: int | None = None


def search(principal: Principal, *, query: str, limit: int = 10, **filters: Any) -> Found:
    """Return messages that match all of the query, as many as one answer can hold. Raises: as `hits`."""
    found = hits(principal, query=query, limit=limit, **filters)
    answer: Found = {"messages": reading.fitting([reading.stored_item(row) for row in found.messages])}
    if found.back is not None:
        answer["searched_back_to"] = found.back
    return answer


def hits(
    principal: Principal,
    *,
    query: str,
    limit: int = 10,
    channel: str | None = None,
    sender: str | None = None,
    message_type: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Hits:
    """Return messages that match all of the query. Any text is a legal query.

    Words match the beginnings of words, whatever their case and accents, and are ranked among the newest 1,000 hits.
    A query without words (crosswire.lib.words) is looked for as it stands, in the newest 5,000 messages; if that finds
    nothing, once more without quotes, brackets and `*`, which people and models put around words.

    Raises: CrossWireError `unavailable` when it takes too long.
    """
    with fulltext.time_limit():
        scope = _scope(principal, channel, since, until)
        if scope is None:
            return Hits([])
        scope = scope._replace(sender=sender, message_type=message_type)
        numbers, back = _look(scope, query, limit)
        if not numbers and (bare := words.without_wrappers(query)) not in ("", query):
            numbers, back = _look(scope, bare, limit)
        rows = {row.number: row for row in access.messages(principal).filter(number__in=numbers[:limit])}
    return Hits([rows[number] for number in numbers[:limit] if number in rows], back)


def _scope(principal: Principal, channel: str | None, since: datetime | None, until: datetime | None) -> Scope | None:
    """Return what to look through; None when that is nothing."""
    first, last, channel_id = retention.first_live(principal), BIGGEST_ID, None
    if since is not None or until is not None:
        # Clients see milliseconds: `until` one they saw includes it.
        past = until + timedelta(milliseconds=1) if until is not None and until.year < MAXYEAR else None
        numbers = fulltext.number_range(principal.workspace_id, since, past)
        if numbers is None:
            return None
        first, last = max(first, numbers[0]), numbers[1]
    if channel is not None:
        row = access.find_channel(principal, channel)
        if row is None:
            return None
        channel_id = row.pk
    return Scope(principal.workspace_id, first, last, channel_id)


def _look(scope: Scope, query: str, limit: int) -> Matches:
    wanted = words.of_query(query)
    return _by_words(scope, query, wanted) if wanted.words else _literally(scope, wanted.literals, limit)


def _by_words(scope: Scope, query: str, wanted: words.Query) -> Matches:
    """Rank the newest messages that have the words; where signs are asked for too, those that have them."""
    numbers = fulltext.hits(scope, wanted.words)
    back = numbers[fulltext.HITS_MOST - 1] if len(numbers) > fulltext.HITS_MOST else None
    phrase = words.folded(" ".join(query.split()))
    patterns = [(word, _whole(word)) for word in wanted.words]
    found: list[tuple[float, int]] = []
    read = 0
    for number, content in _read(scope, numbers[: fulltext.HITS_MOST], None if wanted.literals else RANKED_BY):
        read += len(content)
        if not wanted.literals or _contains(content, wanted.literals):
            found.append((_rank(content, phrase, patterns), number))
        if read > READ_MOST:
            back = number
            break
    return [number for _, number in sorted(found, reverse=True)], back


def _read(scope: Scope, numbers: Sequence[int], most: int | None) -> Iterator[tuple[int, str]]:
    for start in range(0, len(numbers), READ_AT_ONCE):
        yield from fulltext.contents(scope.workspace_id, numbers[start : start + READ_AT_ONCE], most)


def _rank(content: str, phrase: str, wanted: Sequence[tuple[str, re.Pattern[str]]]) -> float:
    """Return how well a message fits: the query as one phrase first; else whole words count more than beginnings, often
    more than once, and in a short message more than in a long one (the saturation of BM25). Equals are told apart by
    their number."""
    text = words.folded(content[:RANKED_BY])
    norm = 0.3 + 0.9 * len(text) / 500
    rank = 10.0 * len(wanted) if len(wanted) > 1 and phrase in text else 0.0
    for word, as_a_whole in wanted:
        whole = len(as_a_whole.findall(text))
        often = whole + (text.count(word) - whole) / 2
        rank += often * 2.2 / (often + norm)
    return round(rank, 6)


def _whole(word: str) -> re.Pattern[str]:
    """Return a pattern of the word with nothing of a word around it; the text comes first, so that looking is fast."""
    return re.compile(rf"{word}(?<![^\W_]{word})(?![^\W_])")


def _literally(scope: Scope, literals: Sequence[str], limit: int) -> Matches:
    """Look through the newest messages, newest first, until there are enough hits."""
    back = fulltext.oldest_of_newest(scope, SEARCHED_MOST)
    rest = scope._replace(first=max(scope.first, back or 0))
    found: list[int] = []
    read, at_once = 0, READ_AT_ONCE
    while len(found) < limit and (rows := fulltext.newest_contents(rest, at_once)):
        found += [number for number, content in rows if _contains(content, literals)]
        size = sum(len(content) for _, content in rows)
        last, read = rows[-1][0], read + size
        rest = rest._replace(last=last - 1)
        if read > READ_MOST:
            return found, last
        if size * _GROWTH < READ_MOST // _GROWTH:  # short messages: few large steps
            at_once *= _GROWTH
    return found, back


def _contains(content: str, literals: Sequence[str]) -> bool:
    text = words.literal(content)
    return all(each in text for each in literals)
