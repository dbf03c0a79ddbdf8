"""Transactions that write, and how long a request waits for the database before it is told to come back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import RLock
from typing import Any

from django.db import Error as DatabaseProblem
from django.db import OperationalError, connection, transaction

__all__ = [
    "PATIENCE_SECONDS",
    "DatabaseProblem",
    "Patience",
    "patience",
    "waiting_at_most",
    "write_together",
    "writing",
]

PATIENCE_SECONDS = 15.0
"""How long all of a request may wait for a busy database."""


@dataclass(slots=True)
class Patience:
    """What is left of a request's time for waiting, in seconds; whatever it waits for takes from the same."""

    left: float = PATIENCE_SECONDS

    @property
    def is_fresh(self) -> bool:
        """Whether next to nothing was spent: the database's own bound will do."""
        return self.left >= PATIENCE_SECONDS - 0.1

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Take the time that something lasts."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.left = max(0.0, self.left - (time.monotonic() - began))


patience: ContextVar[Patience | None] = ContextVar("patience", default=None)
"""The patience of the request under way; outside requests each transaction has one of its own."""


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Have what is done meanwhile wait so long for the database, whatever the request has used of its patience."""
    reset = patience.set(Patience(seconds))
    try:
        yield
    finally:
        patience.reset(reset)


_sqlite_writers = RLock()


@contextmanager
def writing() -> Iterator[None]:
    """Open a transaction that will write. Raises: OperationalError when its turn does not come in time.

    SQLite has one writer at a time and lets the others sleep and retry; inside one process they queue here instead.
    """
    ours = patience.get() or Patience()
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with _turn_on_sqlite(ours):
            yield
    else:
        with ExitStack() as turn:
            with ours.spending():  # for a connection of the pool
                turn.enter_context(transaction.atomic())
            if not ours.is_fresh:
                _wait_at_most(ours.left)
            with ours.spending():
                yield


def write_together(statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
    """Run statements that return nothing as one transaction; on PostgreSQL all of it is one round trip.

    There the server takes what it is sent at once for a transaction (its manual, 53.2.2.1). Raises: as `writing`.
    """
    ours = patience.get() or Patience()
    if connection.vendor == "sqlite" or connection.in_atomic_block:
        with writing(), connection.cursor() as cursor:
            for sql, params in statements:
                cursor.execute(sql, params)
        return
    bound = [] if ours.is_fresh else [_lock_timeout(ours.left)]
    with ours.spending(), connection.cursor() as cursor:
        cursor.execute(
            ";\n".join([*bound, *(sql for sql, _ in statements)]), [each for _, params in statements for each in params]
        )


@contextmanager
def _turn_on_sqlite(ours: Patience) -> Iterator[None]:
    with ExitStack() as turn:
        with ours.spending():
            if not _sqlite_writers.acquire(timeout=ours.left):
                raise OperationalError("database is locked")
            turn.callback(_sqlite_writers.release)
        if not ours.is_fresh:
            _wait_at_most(ours.left)
            turn.callback(_wait_at_most, PATIENCE_SECONDS)
        with ours.spending():
            turn.enter_context(transaction.atomic())
        yield


def _wait_at_most(seconds: float) -> None:
    """Bound how long this thread's connection waits for others that write; on PostgreSQL in this transaction."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.execute(f"PRAGMA busy_timeout = {_milliseconds(seconds)}")
    else:
        with connection.cursor() as cursor:
            cursor.execute(_lock_timeout(seconds))


def _lock_timeout(seconds: float) -> str:
    return f"SET LOCAL lock_timeout = {_milliseconds(seconds)}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))  # 0 would mean for ever
