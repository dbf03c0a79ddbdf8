"""The full-text index, by hand for each database: the column that feeds it, and looking words up in it.

An entry of the index begins with its workspace (`17xdeploy`), so a look-up meets no other workspace's messages. Words
are taken out here and not by the database (crosswire/lib/words.py): both find the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction

from bus.hot import fetch
from bus.models import Message
from crosswire.lib import words
from crosswire.lib.errors import unavailable

HITS_MOST = 1_000
LOOKED_FIRST = 5_000
"""Messages that PostgreSQL looks through before it asks the index: a frequent word is among the newest, often enough,
while the index can only give all of its hits."""
SECONDS_MOST = 3.0
_STEPS = 10_000
_FILLED_AT_ONCE = 10_000


class Scope(NamedTuple):
    """The messages to look through: numbers from `first` to `last`, filters that are None hold for all."""

    workspace_id: int
    first: int
    last: int
    channel_id: int | None = None
    sender: str | None = None
    message_type: str | None = None

    def range(self) -> tuple[str, list[Any]]:
        """Return the part of a WHERE clause that an index answers, after the workspace."""
        channel = " AND channel_id = %s" if self.channel_id is not None else ""
        return f"number BETWEEN %s AND %s{channel}", [self.first, self.last, *_given(self.channel_id)]

    def filters(self) -> tuple[str, list[Any]]:
        """Return the rest of the WHERE clause."""
        given = {"sender": self.sender, "message_type": self.message_type}
        named = [name for name, value in given.items() if value is not None]
        return "".join(f" AND {name} = %s" for name in named), [given[name] for name in named]


def _given(value: Any) -> list[Any]:
    return [] if value is None else [value]


def words_column(workspace_id: int, content: str) -> str:
    """Return what the column `words` of a message holds."""
    return " ".join(f"{workspace_id}x{word}" for word in words.of_text(content))


@contextmanager
def time_limit() -> Iterator[None]:
    """Let no statement hold the connection for longer than some seconds. Raises: CrossWireError `unavailable`."""
    try:
        if connection.vendor == "postgresql":
            with transaction.atomic():
                fetch("SELECT set_config('statement_timeout', %s, true)", [f"{SECONDS_MOST * 1000:.0f}ms"])
                yield
        else:
            connection.ensure_connection()
            until = time.monotonic() + SECONDS_MOST
            connection.connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            try:
                yield
            finally:
                connection.connection.set_progress_handler(None, 0)
    except OperationalError as problem:
        if "interrupted" not in str(problem) and "statement timeout" not in str(problem):
            raise
        raise unavailable(
            "The search took too long. Narrow it: longer words, a channel, or a later `since`."
        ) from problem


def number_range(workspace_id: int, since: datetime | None, until: datetime | None) -> tuple[int, int] | None:
    """Return the numbers of the first and the last message of a time, both inclusive; None when there is none."""
    times = ""
    given: list[datetime] = []
    for compared, value in ((">=", since), ("<", until)):
        if value is not None:
            times, given = f"{times} AND created_at {compared} %s", [*given, value]
    ends = [
        fetch(
            f"SELECT number FROM bus_message WHERE workspace_id = %s{times}"  # noqa: S608
            f" ORDER BY created_at {order}, number {order} LIMIT 1",
            [workspace_id, *given],
        )
        for order in ("ASC", "DESC")
    ]
    return (ends[0][0][0], ends[1][0][0]) if ends[0] and ends[1] else None


def hits(scope: Scope, wanted: Sequence[str]) -> list[int]:
    """Return the numbers of the newest messages that have all the words, newest first: one more than are ranked."""
    if connection.vendor == "sqlite":
        return _hits_on_sqlite(scope, wanted)
    newest = _hits_among_newest(scope, wanted)
    return newest if len(newest) > HITS_MOST else _hits_by_index(scope, wanted)


def _hits_on_sqlite(scope: Scope, wanted: Sequence[str]) -> list[int]:
    """Ids are given in the order of numbers, so the index itself goes newest first and stops."""
    query = " AND ".join(f'"{scope.workspace_id}x{word}"*' for word in wanted)
    (within, bounds), (alike, given) = scope.range(), scope.filters()
    rows = fetch(
        f"""SELECT number FROM message_words JOIN bus_message m ON m.id = message_words.rowid
             WHERE message_words MATCH %s AND m.workspace_id = %s AND {within}{alike}
             ORDER BY message_words.rowid DESC LIMIT {HITS_MOST + 1}""",  # noqa: S608
        [query, scope.workspace_id, *bounds, *given],
    )
    return [row[0] for row in rows]


def _hits_among_newest(scope: Scope, wanted: Sequence[str]) -> list[int]:
    (within, bounds), (alike, given) = scope.range(), scope.filters()
    rows = fetch(
        f"""SELECT number FROM (
              SELECT number, words, sender, message_type FROM bus_message WHERE workspace_id = %s AND {within}
               ORDER BY number DESC LIMIT {LOOKED_FIRST}) AS newest
             WHERE words @@ %s::tsquery{alike} ORDER BY number DESC LIMIT {HITS_MOST + 1}""",  # noqa: S608
        [scope.workspace_id, *bounds, _tsquery(scope, wanted), *given],
    )
    return [row[0] for row in rows]


def _hits_by_index(scope: Scope, wanted: Sequence[str]) -> list[int]:
    """Take all hits out of the index first; left to itself the planner would walk the workspace's messages instead."""
    (within, bounds), (alike, given) = scope.range(), scope.filters()
    rows = fetch(
        f"""WITH found AS MATERIALIZED (
              SELECT workspace_id, number, channel_id, sender, message_type FROM bus_message WHERE words @@ %s::tsquery)
            SELECT number FROM found WHERE workspace_id = %s AND {within}{alike}
             ORDER BY number DESC LIMIT {HITS_MOST + 1}""",  # noqa: S608
        [_tsquery(scope, wanted), scope.workspace_id, *bounds, *given],
    )
    return [row[0] for row in rows]


def _tsquery(scope: Scope, wanted: Sequence[str]) -> str:
    return " & ".join(f"'{scope.workspace_id}x{word}':*" for word in wanted)


def contents(workspace_id: int, numbers: Sequence[int], most: int | None = None) -> list[tuple[int, str]]:
    """Return the texts of messages (the beginnings of them, with `most`), newest first."""
    if not numbers:
        return []
    text = "content" if most is None else f"substr(content, 1, {most})"
    listed = ", ".join(["%s"] * len(numbers))
    sql = f"SELECT number, {text} FROM bus_message WHERE workspace_id = %s AND number IN ({listed})"  # noqa: S608
    return [(number, content) for number, content in fetch(f"{sql} ORDER BY number DESC", [workspace_id, *numbers])]


def oldest_of_newest(scope: Scope, most: int) -> int | None:
    """Return the lowest number of the newest so many messages; None when there are no older ones."""
    within, bounds = scope.range()
    sql = f"SELECT number FROM bus_message WHERE workspace_id = %s AND {within}"  # noqa: S608
    rows = fetch(f"{sql} ORDER BY number DESC LIMIT 2 OFFSET %s", [scope.workspace_id, *bounds, most - 1])
    return rows[0][0] if len(rows) == 2 else None


def newest_contents(scope: Scope, most: int) -> list[tuple[int, str]]:
    """Return numbers and texts of the newest messages of the scope, newest first."""
    (within, bounds), (alike, given) = scope.range(), scope.filters()
    sql = f"SELECT number, content FROM bus_message WHERE workspace_id = %s AND {within}{alike}"  # noqa: S608
    rows = fetch(f"{sql} ORDER BY number DESC LIMIT %s", [scope.workspace_id, *bounds, *given, most])
    return [(number, content) for number, content in rows]


def fill() -> int:
    """Take out the words of messages that a previous release stored since the index was made; return how many."""
    late = Message.objects.filter(words=None).order_by("workspace", "pk")[:_FILLED_AT_ONCE]
    rows = list(late.values_list("pk", "workspace", "content"))
    for pk, workspace_id, content in rows:
        Message.objects.filter(pk=pk, words=None).update(words=words_column(workspace_id, content))
    return len(rows)
