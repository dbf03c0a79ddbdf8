"""Python programs started from a process that has loaded the large libraries already: two seconds less work for each.

That process is the standard library's fork server, one for each process of a test run. It has read none of our code and
no settings, so whatever is started finds only what it would have imported itself, sooner.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

LOADED = (
    "mcp",
    "structlog",
    "redis.asyncio",
    "psycopg_pool",
    "django.core.handlers.asgi",
    "django.db.models",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.loops.uvloop",
    "twisted.internet.posixbase",  # of Twisted nothing that makes its reactor, which must not be shared
    "twisted.protocols.tls",
    "twisted.web.http",
)
_PR_SET_PDEATHSIG = 1
_forking = threading.Lock()


class WarmProcess:
    """A running program, with as much of `subprocess.Popen` as `end` needs. It does not outlive this process."""

    def __init__(
        self, program: str, arguments: Sequence[str], *, output: Path, errors: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.args = [program, *arguments]
        self._asking = threading.Lock()
        with _forking:
            self._process = _context().Process(
                target=_become, args=(self.args, str(output), str(errors), dict(env), str(cwd)), daemon=True
            )
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        with self._asking:  # two who ask at once would read it from one pipe
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status once it has ended. Raises: subprocess.TimeoutExpired."""
        with self._asking:
            self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    return context


def _become(command: list[str], output: str, errors: str, env: dict[str, str], cwd: str) -> None:
    """Be the program from here on, a module by its name or a script by its path, as `python` would run it."""
    alive: int = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]  # has no public name
    os.close(alive)  # who holds it keeps the fork server alive, and that would keep us when our tests are killed
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for path, number in ((output, 1), (errors, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    program, *arguments = command
    sys.argv = [program, *arguments]
    try:
        if program.endswith(".py"):
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    finally:  # what an interpreter does at its end, and a forked process would leave out
        threading._shutdown()  # type: ignore[attr-defined]  # it has no other name
        atexit._run_exitfuncs()
