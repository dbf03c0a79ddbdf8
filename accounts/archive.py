"""The zip of an export: written in pieces, so that its size does not matter, and there whole or not at all."""

from __future__ import annotations

import os
import secrets
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Self

import orjson

from crosswire.lib import clock, env

PART = ".part"
"""How the name of a file ends that is not complete."""
_AT_ONCE = 256 * 1024
_LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME


class Archive:
    """A zip in the making. `alive` is called often; it may raise to end it."""

    def __init__(self, file: IO[bytes], alive: Callable[[], None]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=4)
        self._alive = alive
        self._told: list[tuple[str, str, int | None]] = []

    @classmethod
    @contextmanager
    def at(cls, path: Path, alive: Callable[[], None]) -> Iterator[Self]:
        """Make a file that its owner alone can read; it gets its name once it is complete and on the disk."""
        env.private_folder(path.parent)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                archive = cls(file, alive)
                yield archive
                archive._finish()
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def rows(self, table: str, about: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Write a table as JSON Lines. `about` says in a sentence what a row is; README.txt shows it."""
        count = 0
        with self._entry(f"{table}.jsonl") as write:
            for row in rows:
                write(orjson.dumps(row, default=_plain, option=_LINE))
                count += 1
        self._told.append((f"{table}.jsonl", about, count))

    def text(self, name: str, pieces: Iterable[str]) -> None:
        """Write a text. `name` may hold no part of anybody's text but what is safe in file names."""
        with self._entry(name) as write:
            for piece in pieces:
                write(piece.encode())

    def tell(self, name: str, about: str) -> None:
        """Have README.txt explain a file, or several alike."""
        self._told.append((name, about, None))

    @contextmanager
    def _entry(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Give a function that adds to a file of the zip."""
        assert not name.startswith("/"), name
        assert ".." not in name, name
        made = zipfile.ZipInfo(name, date_time=clock.now().timetuple()[:6])
        made.compress_type, made.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
        waiting = bytearray()
        with self._zip.open(made, "w", force_zip64=True) as entry:

            def write(piece: bytes) -> None:
                waiting.extend(piece)
                if len(waiting) >= _AT_ONCE:
                    entry.write(waiting)
                    waiting.clear()
                    self._alive()

            yield write
            entry.write(waiting)
        self._alive()

    def _finish(self) -> None:
        self.text("README.txt", _readme(self._told))
        self._zip.close()


_HEAD = """\
Everything that CrossWire kept of this workspace when the export was made ({at}).

Files that end in .jsonl hold one JSON object a line (UTF-8). Times are RFC 3339 in UTC. A message's id counts up inside
the workspace; in_reply_to names the id of the message it answers. What had expired by the plan's retention is not here,
and neither are keys and invites themselves: only their first characters or addresses.

"""


def _readme(told: Iterable[tuple[str, str, int | None]]) -> Iterator[str]:
    yield _HEAD.format(at=clock.iso(clock.now()))
    for name, about, count in told:
        rows = "" if count is None else f" ({count:,} {'row' if count == 1 else 'rows'})"
        yield f"{name}{rows}\n    {about}\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return clock.iso(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")


class SignOfLife:
    """Calls `tell` at most every so many seconds, however often it is called itself."""

    def __init__(self, tell: Callable[[], None], seconds: float = 10.0) -> None:
        self._tell, self._seconds = tell, seconds
        self._told_at = time.monotonic()

    def __call__(self) -> None:
        """Tell, if it is time."""
        if time.monotonic() - self._told_at >= self._seconds:
            self._told_at = time.monotonic()
            self._tell()
