"""Real servers for tests: uvicorn in a thread of this process, or uvicorn or Daphne in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2
import uvicorn

from tests.support import loopback
from tests.support.homes import ROOT, Home
from tests.support.processes import end, free_port, spawn, tail, wait_until
from tests.support.warm import WarmProcess

type Program = Literal["uvicorn", "daphne"]

APPLICATION = "crosswire.asgi:application"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
KEEP_ALIVE = ("--timeout-keep-alive", "75")
"""As the Procfile says: a server that closes what its client is about to use breaks a call now and then."""


@dataclass(frozen=True)
class ThreadServer:
    """A server in a thread of this process."""

    url: str


@contextmanager
def thread_server(app: Any, port: int = 0) -> Iterator[ThreadServer]:
    """Serve an ASGI app on a loopback port (0: a free one), with an event loop and lifespan of its own."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=int(KEEP_ALIVE[1]),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name=f"server-{port}", daemon=True)
    thread.start()
    try:
        wait_until(
            lambda: server.started or not thread.is_alive(), START_SECONDS, lambda: "The thread server does not start."
        )
        if not server.started:
            raise RuntimeError("The thread server ended while it started; its log is in the test's output.")
        yield ThreadServer(f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()
    assert not thread.is_alive(), "The thread server does not end."


class ServerProcess:
    """A server in its own process, as an operator starts it; several may share a home.

    `arguments` go to the command line, `env` over the home's environment. It starts from a process that has loaded the
    libraries already, unless it `is_cold`: then exactly as an operator starts it.
    """

    def __init__(
        self,
        home: Home,
        program: Program = "uvicorn",
        *,
        app: str = APPLICATION,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        is_cold: bool = False,
    ) -> None:
        self.home = home
        self.program = program
        self.is_cold = is_cold
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = home.folder / f"{program}-{self.port}.log"
        self._arguments = [*_options(program, self.port), *arguments, app]
        self._environment = home.environment({"PORT": str(self.port), **(env or {})})
        self._process: subprocess.Popen[bytes] | WarmProcess | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "The server was not started."
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Everything the server wrote to its standard output and error."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def start(self) -> Self:
        """Start the server, again after it ended, and wait until `/health` is 200.

        Raises: RuntimeError with the end of its log when it ends or stays silent instead.
        """
        assert not self.is_running, "The server runs already."
        self._process = self._spawned()
        try:
            wait_until(
                lambda: not self.is_running or self.is_healthy(),
                START_SECONDS,
                lambda: f"No 200 from /health within {START_SECONDS:g} s.",
            )
        except TimeoutError as silence:
            self.kill()
            raise RuntimeError(f"{silence}\n{tail(self.log_file)}") from None
        if not self.is_running:
            raise RuntimeError(f"The server ended while it started.\n{tail(self.log_file)}")
        return self

    def _spawned(self) -> subprocess.Popen[bytes] | WarmProcess:
        if self.is_cold:
            command = [sys.executable, "-m", self.program, *self._arguments]
            return spawn(command, self.log_file, env=self._environment, cwd=ROOT)
        log = self.log_file
        return WarmProcess(self.program, self._arguments, output=log, errors=log, env=self._environment, cwd=ROOT)

    def is_healthy(self) -> bool:
        """Whether `/health` answers 200 now."""
        try:
            return loopback.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def stop(self, within_seconds: float = STOP_SECONDS) -> float:
        """Send SIGTERM and return how many seconds the server took to end.

        Raises: TimeoutError when it had to be killed.
        """
        assert self._process is not None, "The server was not started."
        return end(self._process, signal.SIGTERM, within_seconds)

    def kill(self) -> None:
        """End the server at once with SIGKILL; nothing to do when it has ended."""
        if self._process is not None:
            end(self._process, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _options(program: Program, port: int) -> list[str]:
    if program == "daphne":
        return ["-b", "127.0.0.1", "-p", str(port)]
    return ["--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "5", *KEEP_ALIVE]


def manage(home: Home, *arguments: str, within_seconds: float = 60) -> str:
    """Run `manage.py` in a home and return what it printed. Raises: RuntimeError when it fails."""
    with tempfile.TemporaryDirectory(dir=home.folder) as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        script = str(ROOT / "manage.py")
        running = WarmProcess(script, arguments, output=output, errors=errors, env=home.environment(), cwd=ROOT)
        try:
            status = running.wait(within_seconds)
        finally:
            running.kill()
        if status != 0:
            said = errors.read_text(encoding="utf-8").strip()
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed: {said[-2000:]}")
        return output.read_text(encoding="utf-8")


def create_workspace(home: Home, name: str = "acme", plan: str = "unlimited") -> str:
    """Make a workspace in a home the way an operator does and return its key."""
    answer = json.loads(manage(home, "create_workspace", name, "--plan", plan, "--json"))
    return str(answer["api_key"])


def move_clock(home: Home, by: timedelta) -> None:
    """Move the clock of every server process of a home; repeated moves add up."""
    before = float(home.clock_file.read_text(encoding="ascii")) if home.clock_file.exists() else 0.0
    draft = Path(f"{home.clock_file}.{os.getpid()}")
    draft.write_text(str(before + by.total_seconds()), encoding="ascii")
    draft.replace(home.clock_file)
