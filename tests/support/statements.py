"""Counting the SQL that the server's threads run, whatever their connections."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

EXECUTOR = "crosswire-db"
"""How the names of the executor's threads begin."""

_CONTROL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


@dataclass
class Statements:
    """What was run: `len()` and iteration leave out BEGIN, COMMIT and savepoints, `everything` does not."""

    everything: list[str] = field(default_factory=list)

    @property
    def queries(self) -> list[str]:
        """The statements that ask for or change rows, in the order they began."""
        return [text for text in self.everything if not _CONTROL.match(text)]

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.queries)

    def __str__(self) -> str:
        return "\n".join(self.queries)


_recordings: list[tuple[str, Statements]] = []
_lock = threading.Lock()


@contextmanager
def statements(threads: str = EXECUTOR) -> Iterator[Statements]:
    """Record what threads whose name begins with `threads` run from here on; "" means every thread."""
    entry = (threads, Statements())
    with _lock:
        _recordings.append(entry)
    try:
        yield entry[1]
    finally:
        with _lock:
            _recordings[:] = [other for other in _recordings if other is not entry]


def watch_connections() -> None:
    """Hook into every connection opened from now on; called once, before any thread of a server runs."""
    connection_created.connect(_hook, dispatch_uid="tests.statements")


def _hook(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if _record not in connection.execute_wrappers:
        connection.execute_wrappers.append(_record)


def _record(execute: Callable[..., Any], text: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    thread = threading.current_thread().name
    with _lock:
        for threads, recorded in _recordings:
            if thread.startswith(threads):
                recorded.everything.append(text)
    return execute(text, params, many, context)
