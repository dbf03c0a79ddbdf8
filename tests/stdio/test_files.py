"""What local mode writes where, and that it starts from nothing."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.support.homes import Home
from tests.support.stdio import database, process


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of what lies in a folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_processes_started_at_once_on_a_new_machine_share_one_workspace(tmp_path: Path) -> None:
    with ExitStack() as stack:
        started = [stack.enter_context(process(tmp_path)) for _ in range(3)]
        for each in started:
            each.shake_hands()
        sent = [each.use("send_message", sender="ann", content="hello")["id"] for each in started]
        assert sorted(sent) == [1, 2, 3]
        found = modes(tmp_path / ".crosswire")
        assert {"messages.db", "messages.db-wal", "messages.db-shm"} <= set(found)
        assert set(found.values()) == {0o600}
        assert modes(tmp_path)[".crosswire"] == 0o700
    with sqlite3.connect(database(tmp_path)) as connection:
        rows = connection.execute("SELECT name, plan FROM accounts_workspace").fetchall()
    connection.close()
    assert rows == [("local", "unlimited")]
    assert {path.name for path in tmp_path.iterdir()} == {".crosswire", "stderr.log"}


def test_a_folder_that_others_could_read_is_closed_to_them(user: Path) -> None:
    (user / ".crosswire").chmod(0o755)
    database(user).chmod(0o644)
    with process(user) as started:
        started.shake_hands()
        assert modes(user)[".crosswire"] == 0o700
        assert set(modes(user / ".crosswire").values()) == {0o600}


def test_another_database_is_used_where_one_is_named(user: Path) -> None:
    other = user / "elsewhere" / "other.db"
    with process(user, {"DATABASE_URL": f"sqlite:///{other}"}) as started:
        started.shake_hands()
        assert started.use("send_message", sender="ann", content="hello")["id"] == 1
    assert set(modes(other.parent).values()) == {0o600}
    with sqlite3.connect(database(user)) as connection:
        assert connection.execute("SELECT count(*) FROM bus_message").fetchone() == (0,)
    connection.close()


def test_the_database_of_an_installation_serves_as_well(user: Path, make_home: Callable[[], Home]) -> None:
    with process(user, {"DATABASE_URL": make_home().database_url}) as started:
        started.shake_hands()
        assert started.use("send_message", sender="ann", content="hello")["id"] == 1


def test_a_database_that_cannot_be_used_is_told_on_standard_error(user: Path) -> None:
    database(user).write_bytes(b"this is no database, but long enough to be taken for one" * 100)
    with process(user) as started:
        assert started.read() is None
        assert started.exit_code() == 1
    assert "The database cannot be used" in started.errors.read_text(encoding="utf-8")
