"""The database goes away under load: callers are told when to come back, and servers go on without a restart."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.concurrency.traffic import Answer, Wire, spread, together
from tests.conftest import Serve
from tests.support import servers
from tests.support.cast import Credential
from tests.support.homes import Home, Run
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SENDERS = 16
EACH = 30
BREAKS = 6
RECOVERY_SECONDS = 60.0


@pytest.fixture
def home(make_home: Callable[[], Home]) -> Home:
    """A home of its own: nobody else's connections are broken."""
    return make_home()


@pytest.fixture
def fleet(serve: Serve, home: Home, run: Run) -> list[ServerProcess]:
    """Servers of that home: two on PostgreSQL, one on SQLite. Their logs are shown when the test fails."""
    return [serve(home) for _ in range(2 if run.kind == "postgres" else 1)]


def logs(fleet: list[ServerProcess]) -> str:
    return "\n".join(server.log[-6000:] for server in fleet)


@contextmanager
def outage(home: Home) -> Iterator[None]:
    """Take the database away: every connection killed and none let in; on SQLite, somebody holds the write lock."""
    if home.database_url.startswith("sqlite"):
        with closing(sqlite3.connect(urlsplit(home.database_url).path, timeout=30, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield
            lock.execute("ROLLBACK")
        return
    refuse_connections(home, refuse=True)
    try:
        kill_connections(home)
        yield
    finally:
        refuse_connections(home, refuse=False)


def refuse_connections(home: Home, *, refuse: bool) -> None:
    statement = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    name = urlsplit(home.database_url).path[1:]
    with administration(home) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(not refuse)))


def kill_connections(home: Home) -> int:
    """Kill what is connected to the home's database; return how many."""
    name = urlsplit(home.database_url).path[1:]
    with administration(home) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        ).fetchall()
    return len(ended)


def administration(home: Home) -> psycopg.Connection:
    return psycopg.connect(urlsplit(home.database_url)._replace(path="/postgres").geturl(), autocommit=True)


def everything(wire: Wire, channel: str) -> list[str]:
    """Return the content of all messages of a channel."""
    contents: list[str] = []
    last = 0
    while True:
        answer = wire("check_messages", channel=channel, after_id=last, limit=200)
        assert answer.status == 200, answer
        if not answer.data["messages"]:
            return contents
        contents += [message["content"] for message in answer.data["messages"]]
        last = answer.data["last_id"]


def test_while_the_database_is_away_calls_are_told_to_come_back_and_then_served(
    home: Home, fleet: list[ServerProcess]
) -> None:
    anna, newcomer = (Credential(servers.create_workspace(home, name)) for name in ("anna", "newcomer"))
    urls = [server.url for server in fleet]
    pids = [server.pid for server in fleet]

    def send(number: int, caller: Credential = anna) -> Answer:
        with Wire(spread(urls, number), caller) as wire:
            return wire("send_message", sender="sender", content=f"{number}", idempotency_key=f"{number}")

    assert Counter(answer.status for answer in together(send, SENDERS)) == {200: SENDERS}
    with outage(home):
        callers = [anna] * SENDERS + [newcomer] * len(urls)  # no server remembers the newcomer's key
        refused = together(lambda number: send(SENDERS + number, callers[number]), len(callers))
    for answer in refused:
        assert (answer.status, answer.code) == (503, "unavailable"), f"{answer}\n{logs(fleet)}"
        assert int(answer.retry_after or 0) >= 1
        assert answer.data["error"]
    for server in fleet:
        wait_until(server.is_healthy, RECOVERY_SECONDS, lambda: "The server does not find its database again.")
    assert Counter(answer.status for answer in together(send, 2 * SENDERS)) == {200: 2 * SENDERS}
    assert [server.pid for server in fleet if server.is_running] == pids
    with Wire(urls[0], anna) as wire:
        assert sorted(everything(wire, "general"), key=int) == [str(number) for number in range(2 * SENDERS)]


def test_connections_broken_under_load_lose_and_double_nothing(home: Home, fleet: list[ServerProcess]) -> None:
    anna = Credential(servers.create_workspace(home, "anna"))
    urls = [server.url for server in fleet]
    pids = [server.pid for server in fleet]
    refusals: list[Answer] = []
    acknowledged: list[int] = []
    pause = threading.Event()
    deadline = time.monotonic() + 120

    def send(number: int) -> None:
        """Send messages, each until it is acknowledged, while connections go on breaking."""
        with Wire(spread(urls, number), anna) as wire:
            for count in range(EACH):
                body = f"{number} {count}"
                while True:
                    answer = wire("send_message", sender=f"s{number}", content=body, idempotency_key=body)
                    if answer.status == 200:
                        acknowledged.append(answer.data["id"])
                        break
                    refusals.append(answer)
                    assert time.monotonic() < deadline, f"{body} was never acknowledged: {answer}"
                    pause.wait(0.05)

    def broken(number: int) -> int:
        """Break all connections once another share of the messages is acknowledged."""
        share = SENDERS * EACH * number // (BREAKS + 1)
        while len(acknowledged) < share and time.monotonic() < deadline:
            pause.wait(0.001)
        if home.database_url.startswith("sqlite"):
            with outage(home):
                pause.wait(0.2)
            return 1
        return kill_connections(home)

    with ThreadPoolExecutor(1) as threads:
        breaking = threads.submit(lambda: [broken(number) for number in range(1, BREAKS + 1)])
        together(send, SENDERS)
        assert all(breaking.result(60)), "nothing was broken"

    assert {(answer.status, answer.code) for answer in refusals} <= {(503, "unavailable")}, logs(fleet)
    assert all(int(answer.retry_after or 0) >= 1 for answer in refusals)
    assert sorted(acknowledged) == list(range(1, SENDERS * EACH + 1))
    with Wire(urls[0], anna) as wire:
        contents = everything(wire, "general")
    assert sorted(contents) == sorted(f"{number} {count}" for number in range(SENDERS) for count in range(EACH))
    assert [server.pid for server in fleet if server.is_running] == pids
