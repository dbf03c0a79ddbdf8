"""A program in a terminal of its own, without a terminal multiplexer: what it prints is read, what is typed is sent."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import end, wait_until

ROWS, COLUMNS = 45, 150
_ESCAPE = re.compile(
    rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[@-Z\\-_]|[()][A-B0-2])"
)


class Terminal:
    """Runs a program with a terminal for its standard streams; it is ended with the block."""

    def __init__(self, program: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self._program = list(program)
        self._env = dict(env) | {"TERM": "xterm-256color"}
        self._cwd = cwd
        self._printed = bytearray()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def text(self) -> str:
        """Everything printed so far, without colours and movements of the cursor."""
        return _ESCAPE.sub(b" ", bytes(self._printed)).decode(errors="replace")

    def enter(self, keys: str) -> None:
        """Type something; a line ends with `\\r`."""
        os.write(self._ours, keys.encode())

    def wait_for(self, words: str, seconds: float) -> None:
        """Wait until these words were printed. Raises: TimeoutError with the end of what was."""
        wait_until(lambda: words in self.text, seconds, lambda: f"{words!r} was not printed:\n{self.text[-2000:]}")

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(  # noqa: S603 - tests alone choose what runs
            self._program,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - no threads matter yet: it only makes the terminal the session's
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        while True:
            try:
                printed = os.read(self._ours, 65_536)
            except OSError:  # the other end was closed
                return
            if not printed:
                return
            self._printed += printed

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        end(self._process, signal.SIGTERM, 10)
        os.close(self._ours)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
