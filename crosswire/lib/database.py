"""Transactions that write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import RLock

from django.db import connection, transaction

_sqlite_writers = RLock()


@contextmanager
def writing() -> Iterator[None]:
    """Open a transaction that will write.

    SQLite has one writer at a time and lets the others sleep and retry; inside one process they queue here instead.
    """
    is_sqlite = connection.vendor == "sqlite"
    with _sqlite_writers if is_sqlite else nullcontext(), transaction.atomic():
        yield
