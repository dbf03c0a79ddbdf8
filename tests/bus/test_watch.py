"""Hearing of other processes on a SQLite file: by a number of the file's own, and with one statement for all waits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from bus import conversing, waiting
from bus.models import Wait
from bus.services import messages, waits
from crosswire.lib import executor, watch
from tests.bus.waiters import SOON, unheard
from tests.conftest import MakeWorkspace
from tests.support.messages import principal_of


@pytest.fixture(autouse=True)
def _no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BEAT_SECONDS", 3_600.0)
    monkeypatch.setattr(waiting, "CALM_BEAT_SECONDS", 3_600.0)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQLite file of its own, whatever the tests run on."""
    path = tmp_path / "watched.db"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE t (n INTEGER)")
    other.close()
    database = {**settings.DATABASES["default"], "ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    return path


def test_a_commit_is_heard_once_and_reading_never(file: Path) -> None:
    assert watch.is_possible()
    other = sqlite3.connect(file)
    with watch.FileWatch() as watched:
        assert not watched.has_changed()
        other.execute("SELECT * FROM t").fetchall()
        assert not watched.has_changed()
        with other:
            other.execute("INSERT INTO t VALUES (1)")
            assert not watched.has_changed()
        assert watched.has_changed()
        assert not watched.has_changed()
    other.close()


def test_a_file_that_cannot_tell_is_looked_at(file: Path) -> None:
    with watch.FileWatch() as watched:
        file.write_bytes(b"no database any more" * 1_000)
        Path(f"{file}-wal").unlink(missing_ok=True)
        watched._connection.close()
        assert watched.has_changed()


def test_looking_for_news_is_heard_by_nobody(make_workspace: MakeWorkspace) -> None:
    if connection.vendor != "sqlite":
        assert not watch.is_possible()
        return
    make_workspace("unlimited")
    with watch.FileWatch() as watched:
        waits.news(waiting.PROCESS)
        assert not watched.has_changed(), "two processes that wait would wake each other for ever"


async def test_a_message_nobody_told_of_wakes_its_waiter_by_one_statement_for_all(
    make_workspace: MakeWorkspace, statements: Callable[..., Any]
) -> None:
    if connection.vendor != "sqlite":
        assert not watch.is_possible()
        return
    principal = await executor.run(principal_of, make_workspace("unlimited"))
    tasks = [
        asyncio.create_task(
            conversing.wait_for_reply(
                principal, channel=f"c{number}", instance_id=f"i{number}", timeout_seconds=90, persistent=False
            )
        )
        for number in range(20)
    ]
    rows = Wait.objects.filter(workspace=principal.workspace_id, ended_at=None)
    async with asyncio.timeout(SOON):
        while await executor.run(rows.count) < len(tasks):
            assert not any(task.done() for task in tasks)
    with unheard(), statements("crosswire-db") as ran:
        caller = principal.calling("tests/1")
        await executor.run(lambda: messages.send(caller, channel="c7", sender="writer", content="x"))
        async with asyncio.timeout(SOON):
            assert (await tasks[7])["ended"] == "message"
    assert not any(task.done() for number, task in enumerate(tasks) if number != 7)
    looks = [text for text in ran if "LEFT JOIN bus_cursor" in text and "bus_instance i" in text]
    assert len(looks) <= 3, str(ran)  # the send's facts and unread, and one look of the one that woke
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
