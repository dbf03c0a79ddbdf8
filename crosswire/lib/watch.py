"""Hearing that another process has committed to the same SQLite file: `PRAGMA data_version`, which touches no table.

PostgreSQL has nothing like it; there whoever commits has to tell.
"""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Self

from django.conf import settings

SECONDS = 0.05
"""How often to ask. The promise is a wake within 0.15 s, and looking after that takes its time too."""


def is_possible() -> bool:
    """Return whether the database is a SQLite file."""
    database = settings.DATABASES["default"]
    return str(database["ENGINE"]).endswith("sqlite3") and database["NAME"] != ":memory:"


class FileWatch:
    """A connection of its own that tells whether any other, of this process or another, has committed."""

    def __enter__(self) -> Self:
        name = settings.DATABASES["default"]["NAME"]
        self._connection = sqlite3.connect(name, timeout=0, isolation_level=None)
        self._seen = self._version()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def has_changed(self) -> bool:
        """Return whether something was committed since the last call; when the file cannot tell, it may have been."""
        version = self._version()
        is_new = version is None or version != self._seen
        self._seen = version
        return is_new

    def _version(self) -> int | None:
        try:
            row: tuple[int] = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return row[0]
