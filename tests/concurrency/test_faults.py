"""Drills: a database that is locked, busy or full, a Redis that is gone. Callers get a coded answer, nothing
acknowledged is lost, no stack trace leaves, and the server goes on without a restart."""

from __future__ import annotations

import re
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.concurrency.traffic import Answer, Wire, together
from tests.conftest import Serve, SurfaceAt
from tests.support import loopback, servers
from tests.support.cast import Credential
from tests.support.databases import RedisServer
from tests.support.homes import Home
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CALLERS = 24
"""More than a process has threads for the database: some wait for a thread while others wait for the lock."""


@pytest.fixture
def home(make_home: Callable[[], Home]) -> Home:
    return make_home()


@pytest.fixture
def anna(home: Home) -> Credential:
    return Credential(servers.create_workspace(home, "anna"))


def file_of(home: Home) -> Path:
    return Path(urlsplit(home.database_url).path)


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Have somebody else hold what every send needs: SQLite's write lock, or the rows of the counters."""
    if home.database_url.startswith("sqlite"):
        with closing(sqlite3.connect(file_of(home), timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")
    else:
        with psycopg.connect(home.database_url) as other:
            other.execute("SELECT * FROM bus_counters FOR UPDATE")
            yield
            other.rollback()


def refused(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "unavailable"), answer
    assert int(answer.retry_after or 0) >= 1
    assert "Traceback" not in str(answer.data)


def send(server: ServerProcess, caller: Credential, body: str) -> Answer:
    with Wire(server.url, caller) as wire:
        return wire("send_message", sender="sender", content=body, idempotency_key=body[:20])


def stored(server: ServerProcess, caller: Credential) -> list[str]:
    """Return what the channel holds, read as often as its size asks for."""
    contents: list[str] = []
    last = 0
    with Wire(server.url, caller) as wire:
        while True:
            answer = wire("check_messages", after_id=last, limit=200)
            assert answer.status == 200, answer
            contents += [message["content"] for message in answer.data["messages"]]
            if not answer.data["has_more"]:
                return contents
            last = answer.data["last_id"]


def test_a_lock_that_somebody_else_holds_ends_in_503_for_all_and_not_one_after_the_other(
    home: Home, serve: Serve, anna: Credential
) -> None:
    server = serve(home)
    send(server, anna, "first")
    waited: list[float] = []

    def impatient(number: int) -> Answer:
        began = time.monotonic()
        answer = send(server, anna, f"{number}")
        waited.append(time.monotonic() - began)
        return answer

    with locked(home):
        for answer in together(impatient, CALLERS):
            refused(answer)
    # One after the other they would have waited for minutes: the last one 15 s for each batch before its own.
    assert max(waited) < 40, waited
    assert send(server, anna, "1").data["created"]
    assert stored(server, anna) == ["first", "1"]


def test_a_lock_that_is_held_for_a_moment_is_waited_for(home: Home, serve: Serve, anna: Credential) -> None:
    server = serve(home)
    send(server, anna, "first")
    with locked(home):
        sender = threading.Thread(target=send, args=(server, anna, "second"))
        sender.start()
        sender.join(1.0)
        assert sender.is_alive(), "the lock held nothing up"
    sender.join(60)
    assert stored(server, anna) == ["first", "second"]


@contextmanager
def full_disk(home: Home, server: ServerProcess) -> Iterator[None]:
    """Let the server's files grow no further; on PostgreSQL have the database say that its disk is full."""
    if home.database_url.startswith("sqlite"):
        size = max(path.stat().st_size for path in file_of(home).parent.glob(f"{file_of(home).name}*"))
        before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        yield
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
        return
    with psycopg.connect(home.database_url, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        other.execute("CREATE TRIGGER full_disk BEFORE INSERT ON bus_message EXECUTE FUNCTION full_disk()")
        yield
        other.execute("DROP FUNCTION full_disk CASCADE")


def test_a_full_disk_is_told_and_what_was_acknowledged_stays(home: Home, serve: Serve, anna: Credential) -> None:
    server = serve(home)
    acknowledged = ["first"]
    send(server, anna, "first")
    large = "x" * 60_000
    with full_disk(home, server):
        for number in range(40):
            body = f"{number} {large}"
            answer = send(server, anna, body)
            if answer.status == 200:
                acknowledged.append(body)
                continue
            refused(answer)
            break
        else:
            pytest.fail("the disk was never full")
        assert stored(server, anna)[-1] == acknowledged[-1], "reading goes on"
    assert send(server, anna, "after").status == 200
    assert stored(server, anna) == [*acknowledged, "after"]
    assert server.is_running


@pytest.mark.home("postgres")
def test_a_database_that_is_away_shows_no_trace_on_any_surface(
    home: Home, serve: Serve, anna: Credential, surface_at: SurfaceAt
) -> None:
    lane, drf = serve(home), serve(home, env={"API_LANE": "false"})
    surfaces = [surface_at("lane", lane.url), surface_at("drf", drf.url), surface_at("mcp-2026-07-28", lane.url)]
    for call in surfaces:
        call.ok(anna, "list_channels")
    with gone(home):
        for call in surfaces:
            refusal = call.refused(anna, "list_channels", "unavailable")
            assert refusal.details["retry_after"] >= 1
            assert "sql" not in refusal.message.lower()
        for server in (lane, drf):
            page = loopback.get(f"{server.url}/")
            assert page.status_code == 200, "a page that needs no database"
            health = loopback.get(f"{server.url}/health", timeout=30)
            assert (health.status_code, health.json()["code"]) == (503, "unavailable")
    for server in (lane, drf):
        wait_until(server.is_healthy, 60, lambda: "The server does not find its database again.")
    for call in surfaces:
        call.ok(anna, "list_channels")


@contextmanager
def gone(home: Home) -> Iterator[None]:
    """Take the database away: let nobody in, and end who is."""
    name = urlsplit(home.database_url).path[1:]
    admin = urlsplit(home.database_url)._replace(path="/postgres").geturl()
    with psycopg.connect(admin, autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        other.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


def test_redis_gone_and_back_is_never_seen_by_a_caller(home: Home, serve: Serve) -> None:
    redis = RedisServer.start()
    try:
        server = serve(home, env={"REDIS_URL": redis.url, "METRICS_TOKEN": "t"})
        pro = Credential(servers.create_workspace(home, "pro", "pro"))
        assert send(server, pro, "with").status == 200
        redis.kill()
        assert [send(server, pro, f"without {number}").status for number in range(5)] == [200] * 5
        figures = loopback.get(f"{server.url}/metrics", headers={"Authorization": "Bearer t"}).text
        assert re.search(r"^crosswire_rates_unchecked_total [1-9]", figures, re.MULTILINE), figures
        assert "redis_away" in server.log
        assert "Traceback" not in server.log
        redis.restart()
        assert send(server, pro, "with again").status == 200
        assert len(stored(server, pro)) == 7
        assert server.is_running
    finally:
        redis.stop()
