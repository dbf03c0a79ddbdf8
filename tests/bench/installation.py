"""An installation to measure: PostgreSQL, Redis and server processes of its own, and meters on all of them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.support.databases import PostgresCluster, RedisServer
from tests.support.homes import Home
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess, create_workspace, manage

SERVED = "tests.bench.served:application"
"""The product with longer ceilings, so that thousands of waits can be opened before the first one ends."""
BARE = "tests.bench.bare:application"
AS_SHIPPED = (
    "--loop",
    "uvloop",
    "--http",
    "httptools",
    "--no-access-log",
    "--log-level",
    "warning",
    "--backlog",
    "8192",
)
_RAN = re.compile(r"LOG:  (?:statement|execute [^:]+): (.*)")
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SELECT bench_mark")


class Installation:
    """One home and its servers; a context manager that ends and removes everything."""

    def __init__(self) -> None:
        self._after = ExitStack()

    def __enter__(self) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="crosswire-bench-"))
        self._after.callback(shutil.rmtree, folder, ignore_errors=True)
        self.cluster = PostgresCluster.start()
        self._after.callback(self.cluster.stop)
        self.redis = RedisServer.start()
        self._after.callback(self.redis.stop)
        self.home = Home("bench", folder, self.cluster.create_database("bench"), self.redis.url, self.redis)
        manage(self.home, "migrate", "-v0")
        self.key = create_workspace(self.home)
        self._database = self._after.enter_context(psycopg.connect(self.home.database_url, autocommit=True))
        self._database.execute("SET log_statement = 'none'")
        return self

    def __exit__(self, *problem: object) -> None:
        self._after.close()

    @contextmanager
    def serving(self, processes: int = 1, app: str = SERVED) -> Iterator[list[ServerProcess]]:
        """Start so many server processes; they are stopped at the end."""
        with ExitStack() as running:
            yield [
                running.enter_context(ServerProcess(self.home, app=app, arguments=AS_SHIPPED, is_cold=True))
                for _ in range(processes)
            ]

    def another_key(self, name: str = "") -> str:
        """Make another workspace and return its key."""
        return create_workspace(self.home, name or f"bench-{secrets.token_hex(4)}")

    def fetch(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self._database.execute(query, params).fetchall()

    def analyze(self) -> None:
        """Have PostgreSQL know how large its tables are, as it does a minute later by itself."""
        self._database.execute("ANALYZE")

    def open_waits(self, channel: str | None = None) -> int:
        """Return how many waits are open, in all or on one channel."""
        query = "SELECT count(*) FROM bus_wait WHERE ended_at IS NULL AND (%s::text IS NULL OR channel_name = %s)"
        found: int = self.fetch(query, channel, channel)[0][0]
        return found

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Count what PostgreSQL runs for the servers from here on, BEGIN and COMMIT left out."""
        assert self.cluster._folder is not None
        log = self.cluster._folder / "postgres.log"
        ran: list[str] = []
        self._configure("ALTER SYSTEM SET log_statement = 'all'")
        time.sleep(0.3)  # the other sessions read the settings when they next wake
        begun = log.stat().st_size
        try:
            yield ran
        finally:
            with log.open("rb") as file:
                file.seek(begun)
                text = file.read().decode(errors="replace")
            self._configure("ALTER SYSTEM RESET log_statement")
            ran += [found for found in _RAN.findall(text) if not found.startswith(_CONTROL)]

    def _configure(self, command: str) -> None:
        self._database.execute(command)
        self._database.execute("SELECT pg_reload_conf()")


@dataclass
class Meter:
    """What a process uses from the moment this is made: CPU in percent of one core, memory in bytes."""

    pid: int
    begun: float = field(default_factory=time.perf_counter)
    before: float = 0.0

    def __post_init__(self) -> None:
        self.before = cpu_seconds(self.pid)

    def cpu_percent(self) -> float:
        """Return the share of one core used since."""
        return 100 * (cpu_seconds(self.pid) - self.before) / (time.perf_counter() - self.begun)

    def cpu_seconds(self) -> float:
        """Return the seconds of CPU used since."""
        return cpu_seconds(self.pid) - self.before


def cpu_seconds(pid: int) -> float:
    """Return how much CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Return what memory is a process's own, in bytes."""
    found = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return 1024 * sum(int(kilobytes) for kilobytes in re.findall(r"^Private_\w+:\s+(\d+)", found, re.MULTILINE))


def until_open(
    installation: Installation, count: int, within_seconds: float = 120.0, channel: str | None = None
) -> None:
    """Wait until so many waits are open."""
    wait_until(
        lambda: installation.open_waits(channel) >= count,
        within_seconds,
        lambda: f"only {installation.open_waits(channel)} of {count} waits are open",
    )
