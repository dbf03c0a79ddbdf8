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

from tests.support.cast import CAST

_CONTROL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


@dataclass
class Statements:
    """What was run: `len()` and iteration leave out BEGIN, COMMIT and savepoints, `everything` does not."""

    everything: list[str] = field(default_factory=list)

    @property
    def queries(self) -> list[str]:
        """The statements that ask for or change rows, in the order they began; each of those sent together."""
        return [each for text in self.everything for each in text.split(";\n") if not _CONTROL.match(each)]

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.queries)

    def __str__(self) -> str:
        return "\n".join(self.queries)


@dataclass(frozen=True)
class _Recording:
    threads: str
    opened_by: int
    ran: Statements

    def wants(self, thread: threading.Thread) -> bool:
        if self.threads:
            return thread.name.startswith(self.threads)
        return thread.ident != self.opened_by and not thread.name.startswith(CAST)


_recordings: list[_Recording] = []
_lock = threading.Lock()


@contextmanager
def statements(threads: str = "") -> Iterator[Statements]:
    """Record what the servers' threads run from here on: every thread but the test's own.

    `threads` narrows it to threads whose name begins so, such as the executor's `crosswire-db`.
    """
    recording = _Recording(threads, threading.get_ident(), Statements())
    with _lock:
        _recordings.append(recording)
    try:
        yield recording.ran
    finally:
        with _lock:
            _recordings[:] = [other for other in _recordings if other is not recording]


def watch_connections() -> None:
    """Hook into every connection opened from now on; called once, before any thread of a server runs."""
    connection_created.connect(_hook, dispatch_uid="tests.statements")


def _hook(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if _record not in connection.execute_wrappers:
        connection.execute_wrappers.append(_record)


def _record(execute: Callable[..., Any], text: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    thread = threading.current_thread()
    with _lock:
        for recording in _recordings:
            if recording.wants(thread):
                recording.ran.everything.append(text)
    return execute(text, params, many, context)
