"""Where a test run lives: one database (and Redis) for each process of it, all copies of one migrated template.

`sqlite` is a file and everything in process, `postgres` is PostgreSQL and Redis. Whoever starts pytest makes the run's
folder and the cluster; xdist's workers find both in the environment.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

import psycopg

from tests.support.databases import DATABASE_VARIABLE, REDIS_VARIABLE, PostgresCluster, RedisServer

type Kind = Literal["sqlite", "postgres"]

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "for-tests-alone-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 2
ROOM_BYTES = 4 * 2**30
_RUN_VARIABLE = "CROSSWIRE_TEST_RUN"
_WORKER_VARIABLE = "PYTEST_XDIST_WORKER"
_SETTING = re.compile(r'\benv\.[\w.]+\(\s*"([A-Z][A-Z0-9_]*)"')


def settings_variables() -> set[str]:
    """Return the name of every environment variable that could reach the settings, so that none does by accident."""
    names = set(_SETTING.findall((ROOT / "crosswire" / "settings.py").read_text(encoding="utf-8")))
    return names | {f"{name}_FILE" for name in names} | {"DJANGO_SETTINGS_MODULE", "CROSSWIRE_CLOCK_FILE"}


@dataclass
class Home:
    """One installation: its database, its Redis (or none), its folder and its clock file."""

    name: str
    folder: Path
    database_url: str
    redis_url: str = ""
    _redis: RedisServer | None = field(default=None, repr=False)

    @property
    def clock_file(self) -> Path:
        """The file that moves the clock of this home's server processes."""
        return self.folder / "clock"

    def variables(self) -> dict[str, str]:
        """Return the environment variables that make a process live here."""
        chosen = {
            "DJANGO_SETTINGS_MODULE": "crosswire.settings",
            "DATABASE_URL": self.database_url,
            "CROSSWIRE_VAR": str(self.folder / "var"),
            "SECRET_KEY": SECRET_KEY,
        }
        return chosen | ({"REDIS_URL": self.redis_url} if self.redis_url else {})

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of a child process that lives here."""
        unwanted = settings_variables()
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        return kept | self.variables() | {"CROSSWIRE_CLOCK_FILE": str(self.clock_file)} | dict(extra or {})

    def enter(self) -> None:
        """Make this process live here. Only works before Django has read its settings."""
        for name in settings_variables():
            os.environ.pop(name, None)
        os.environ.update(self.variables())


def _in_memory() -> Path | None:
    """Return a folder in memory that has room for a run: on a disk SQLite waits for it at each commit."""
    memory = Path("/dev/shm")  # noqa: S108 - a name of our own is made below it
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > ROOM_BYTES else None


class Run:
    """What one test process knows of the whole run."""

    def __init__(self, kind: Kind, folder: Path, cluster: PostgresCluster | None, *, is_ours: bool) -> None:
        self.kind = kind
        self.folder = folder
        self.cluster = cluster
        self.is_ours = is_ours
        self.worker = os.environ.get(_WORKER_VARIABLE, "main")
        self.home = self._new_home(self.worker)

    @classmethod
    def join(cls, kind: Kind) -> Self:
        """Make the run, or as one of its xdist workers find it. Raises: CannotStart."""
        if _WORKER_VARIABLE in os.environ and _RUN_VARIABLE in os.environ:
            cluster = PostgresCluster.adopt(os.environ[DATABASE_VARIABLE]) if kind == "postgres" else None
            return cls(kind, Path(os.environ[_RUN_VARIABLE]), cluster, is_ours=False)
        folder = Path(tempfile.mkdtemp(prefix="crosswire-tests-", dir=_in_memory()))
        os.environ[_RUN_VARIABLE] = str(folder)
        return cls(kind, folder, _cluster_of_the_run() if kind == "postgres" else None, is_ours=True)

    def leave(self) -> None:
        """End what this process started and, if it made the run, remove its folder."""
        self.discard(self.home)
        if not self.is_ours:
            return
        if self.cluster is not None:
            self.cluster.drop_database(self._database_name("template"))
            self.cluster.stop()
            if self.cluster.is_ours:
                os.environ.pop(DATABASE_VARIABLE, None)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.environ.pop(_RUN_VARIABLE, None)

    def describe(self) -> str:
        """Return one line for the head of the report."""
        if self.cluster is None:
            return f"home: {self.kind}"
        return f"home: {self.kind} {self.cluster.version()}"

    def new_home(self) -> Home:
        """Return a fresh home with a migrated, empty database; `prepare` must have run. `discard` it when done."""
        home = self._new_home(f"{self.worker}_{secrets.token_hex(4)}")
        with self._template_lock():
            self._copy_template_to(home)
        return home

    def discard(self, home: Home) -> None:
        """Remove a home; its processes must have ended."""
        if self.cluster is not None:
            self.cluster.drop_database(self._database_name(home.name))
        if home._redis is not None:
            home._redis.stop()
        shutil.rmtree(home.folder, ignore_errors=True)

    def prepare(self) -> None:
        """Fill this process's database: from the template, or by migrating, which makes the template."""
        with self._template_lock():
            if self._template_mark.exists():
                self._copy_template_to(self.home)
            else:
                self._migrate()
                self._copy_home_to_template()
                self._template_mark.touch()

    def _new_home(self, name: str) -> Home:
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        if self.cluster is None:
            return Home(name, folder, f"sqlite:///{folder / 'crosswire.db'}")
        redis, url = self._new_redis()
        return Home(name, folder, self.cluster.url(self._database_name(name)), url, redis)

    def _new_redis(self) -> tuple[RedisServer | None, str]:
        """Start a Redis for one home, for publish and subscribe crosses database numbers; or share the given one."""
        given = os.environ.get(REDIS_VARIABLE)
        if not given:
            server = RedisServer.start()
            return server, server.url
        number = int(self.worker[2:]) + 1 if self.worker.startswith("gw") else 0
        return None, urlsplit(given)._replace(path=f"/{number}").geturl()

    def _database_name(self, home: str) -> str:
        return f"crosswire_{self.folder.name.rpartition('-')[2]}_{home}"

    @property
    def _template_mark(self) -> Path:
        return self.folder / "template.ready"

    @contextmanager
    def _template_lock(self) -> Iterator[None]:
        """Let one process of the run at a time make or copy the template."""
        with (self.folder / "template.lock").open("w", encoding="ascii") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _migrate(self) -> None:
        from django.core.management import call_command  # noqa: PLC0415 - the settings are chosen in this module
        from django.db import connection, connections  # noqa: PLC0415 - as above

        if self.cluster is not None:
            self.cluster.create_database(self._database_name(self.home.name))
        call_command("migrate", verbosity=0, interactive=False)
        connections.close_all()
        if connection.vendor == "postgresql":
            connection.close_pool()  # type: ignore[attr-defined] # PostgreSQL's alone

    def _copy_home_to_template(self) -> None:
        if self.cluster is None:
            shutil.copy(self.home.folder / "crosswire.db", self.folder / "template.db")
        else:
            self.cluster.create_database(self._database_name("template"), self._database_name(self.home.name))
            self._spread_workspace_ids(self.home)

    def _copy_template_to(self, home: Home) -> None:
        if self.cluster is None:
            shutil.copy(self.folder / "template.db", home.folder / "crosswire.db")
        else:
            self.cluster.create_database(self._database_name(home.name), self._database_name("template"))
            self._spread_workspace_ids(home)

    def _spread_workspace_ids(self, home: Home) -> None:
        """Begin workspace ids far from other homes', so that homes which share a Redis never mean the same one."""
        with psycopg.connect(home.database_url) as connection:
            connection.execute(
                "SELECT setval(pg_get_serial_sequence('accounts_workspace', 'id'), %s)",
                [secrets.randbelow(10**9) * 1000 + 1],
            )


def _cluster_of_the_run() -> PostgresCluster:
    """Return the given server or a new one, which workers then find as given."""
    given = os.environ.get(DATABASE_VARIABLE)
    if given:
        return PostgresCluster.adopt(given)
    cluster = PostgresCluster.start()
    os.environ[DATABASE_VARIABLE] = cluster.admin_url
    return cluster
