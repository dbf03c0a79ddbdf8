"""The index behind the search: that it is used, that it follows the messages, that a migration fills it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.db import connection, transaction

from bus import fulltext, pruners
from bus.hot import execute, fetch
from bus.models import Message
from bus.services import search
from tests.support.cast import Caller
from tests.support.homes import Home
from tests.support.messages import ids, principal_of, seed
from tests.support.servers import manage

FILLER = 6_000


def plan_of(sql: str, params: Sequence[Any]) -> str:
    explain = "EXPLAIN (FORMAT JSON) " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    return json.dumps(fetch(explain + sql, params))


def plans_of_a_search(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return how the database finds the hits of a rare word, in the order of the statements."""
    plans: list[str] = []

    def explaining(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        if "words" in sql:
            plans.append(plan_of(sql, params))
        return fetch(sql, params)

    monkeypatch.setattr(fulltext, "fetch", explaining)
    search.search(principal_of(caller), query="needle")
    monkeypatch.undo()
    return plans


@pytest.fixture
def grown(alice: Caller) -> Iterator[Caller]:
    """Alice, with more messages than are looked through first, written past the service."""
    number = seed(alice, ["needle"])[0]
    row = Message.objects.get(workspace=alice.workspace, number=number)
    Message.objects.bulk_create(
        Message(
            workspace=alice.workspace,
            number=each,
            channel=row.channel,
            channel_seq=each,
            sender="x",
            content="hay",
            created_at=row.created_at,
            words=fulltext.words_column(alice.workspace.pk, f"hay stack{each % 100}"),
        )
        for each in range(number + 1, FILLER)
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT gin_clean_pending_list('message_words')")
            # Other tests' rows are there as well: a sample of the usual size may miss most of a workspace.
            cursor.execute("SET default_statistics_target = 1000")
            cursor.execute("ANALYZE bus_message")
            cursor.execute("RESET default_statistics_target")
            # Where these rows are nearly the whole table, reading it whole is right: ask for what is done when not.
            cursor.execute("SET enable_seqscan = off")
    yield alice
    if connection.vendor == "postgresql":
        execute("RESET enable_seqscan", [])


def test_words_are_looked_up_in_the_index_and_few_rows_are_read_beside_it(
    grown: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = plans_of_a_search(grown, monkeypatch)
    if connection.vendor == "postgresql":
        newest, by_index = plans
        assert "Index Cond" in newest, "by which of the workspace's indexes is the planner's choice"
        assert "message_words" in by_index
        assert all("Seq Scan" not in plan for plan in plans)
    else:
        (plan,) = plans
        assert "SCAN message_words VIRTUAL TABLE INDEX" in plan
        assert "SEARCH m USING INTEGER PRIMARY KEY" in plan
        assert "TEMP B-TREE" not in plan


def test_literal_search_and_times_walk_indexes_of_the_workspace(grown: Caller) -> None:
    scope = fulltext.Scope(grown.workspace.pk, 1, FILLER)
    within, bounds = scope.range()
    sql = f"SELECT number FROM bus_message WHERE workspace_id = %s AND {within} ORDER BY number DESC LIMIT 250"  # noqa: S608
    plan = plan_of(sql, [grown.workspace.pk, *bounds])
    assert "message_number" in plan or "(workspace_id=? AND number>? AND number<?)" in plan
    sql = "SELECT number FROM bus_message WHERE workspace_id = %s AND created_at >= %s"
    sql += " ORDER BY created_at, number LIMIT 1"
    assert "message_by_time" in plan_of(sql, [grown.workspace.pk, "2026-01-01 00:00:00+00:00"])


def test_every_entry_of_the_index_begins_with_its_workspace(alice: Caller, mallory: Caller) -> None:
    for caller in (alice, mallory):
        seed(caller, ["needle"])
        column = Message.objects.values_list("words", flat=True).get(workspace=caller.workspace)
        assert column is not None
        assert column.strip("'") == f"{caller.workspace.pk}xneedle"
    if connection.vendor == "sqlite":
        rows = fetch("SELECT rowid FROM message_words WHERE message_words MATCH %s", [f'"{alice.workspace.pk}xneedle"'])
        assert [row[0] for row in rows] == [Message.objects.get(workspace=alice.workspace).pk]


def test_a_message_that_is_deleted_leaves_the_index(alice: Caller) -> None:
    seed(alice, ["needle one", "needle two"])
    Message.objects.filter(workspace=alice.workspace, number=1).delete()
    assert ids(search.search(principal_of(alice), query="needle")) == [2]
    if connection.vendor == "sqlite":
        query = f'"{alice.workspace.pk}xneedle"'
        assert len(fetch("SELECT rowid FROM message_words WHERE message_words MATCH %s", [query])) == 1


def test_the_index_agrees_with_the_messages(alice: Caller) -> None:
    seed(alice, ["needle", "été 日本 sendMessage", "%"])
    Message.objects.filter(workspace=alice.workspace, number=1).delete()
    Message.objects.filter(workspace=alice.workspace, number=2).update(reply_count=1)
    if connection.vendor == "sqlite":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO message_words(message_words, rank) VALUES ('integrity-check', 1)")
    assert ids(search.search(principal_of(alice), query="message")) == [2]


def test_messages_of_a_previous_release_are_found_after_the_next_run(alice: Caller) -> None:
    row = Message.objects.get(workspace=alice.workspace, number=seed(alice, ["hay"])[0])
    row.pk, row.number, row.channel_seq, row.content, row.words = None, 2, 2, "needle", None
    row.save(force_insert=True)
    assert ids(search.search(principal_of(alice), query="needle")) == []
    assert pruners.everywhere()["words_taken_out"] >= 1
    assert ids(search.search(principal_of(alice), query="needle")) == [2]
    assert not Message.objects.filter(workspace=alice.workspace, words=None).exists()


@pytest.mark.slow
def test_messages_stored_before_the_migration_are_indexed_by_it(make_home: Callable[[], Home]) -> None:
    home = make_home()
    script = (
        "from accounts.services import create_workspace, create_key; from accounts.principals import authenticate;"
        "from bus.services import messages, search; w = create_workspace('old', 'pro');"
        "p = authenticate(create_key(w, 'k')[1]);"
        "[messages.send(p, channel='general', sender='a', content=c) for c in ('old needle', 'hay')]"
    )
    manage(home, "shell", "-c", script)
    manage(home, "migrate", "bus", "0001", "--noinput")
    manage(home, "migrate", "--noinput")
    look = (
        "from accounts.models import ApiKey, Workspace; from accounts.services import create_key;"
        "from accounts.principals import authenticate; from bus.services import search;"
        "p = authenticate(create_key(Workspace.objects.get(name='old'), 'k2')[1]);"
        "print('found', [m['id'] for m in search.search(p, query='needle')['messages']])"
    )
    assert "found [1]" in manage(home, "shell", "-c", look)
