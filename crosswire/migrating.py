"""Bringing the database up to date when several processes of this machine may start at once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from crosswire.lib import env, watch


@contextmanager
def alone() -> Iterator[None]:
    """Have one process of this machine at a time do something to the database."""
    path = f"{settings.DATABASES['default']['NAME']}.lock" if watch.is_possible() else settings.VAR_DIR / "migrate.lock"
    env.private_folder(Path(path).parent)
    with open(path, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # goes with the process, however that ends
        yield


def migrate() -> None:
    """Run the migrations that the database lacks; inside `alone`."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
