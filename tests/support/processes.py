"""Starting other programs for a test, and ending exactly those: by process id, within bounded time."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol


class Process(Protocol):
    """What `end` needs of a running program."""

    args: Any

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: signal.Signals, /) -> None: ...
    def kill(self) -> None: ...


type How = Literal["self", "nobody", "namespace"]
"""As whom a program runs; see become.py."""

_BECOME = Path(__file__).with_name("become.py")
_PORTS = range(10_000, 30_000)  # below what the kernel gives to outgoing connections, so none of ours can take it


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("No free TCP port between 10000 and 29999 on 127.0.0.1.")


def command(program: Sequence[str], how: How = "self", last_signal: signal.Signals | None = None) -> list[str]:
    """Return the command line that turns into `program`, which gets `last_signal` when this process dies.

    The kernel means the thread that starts it, so the signal is only asked for on the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        last_signal = None
    if how == "self" and last_signal is None:
        return list(program)
    return [sys.executable, "-I", "-S", str(_BECOME), how, str(int(last_signal or 0)), str(os.getpid()), *program]


def spawn(
    program: Sequence[str],
    log: Path,
    *,
    how: How = "self",
    last_signal: signal.Signals = signal.SIGKILL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program whose output goes to the end of `log` and which does not outlive this process."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - tests alone choose what runs
            command(program, how, last_signal),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
        )


def finish(
    program: Sequence[str],
    within_seconds: float,
    *,
    how: How = "self",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its exit code and output. Raises: subprocess.TimeoutExpired."""
    return subprocess.run(  # noqa: S603 - as above
        command(program, how),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within_seconds,
        env=None if env is None else dict(env),
        cwd=cwd,
        check=False,
    )


def end(process: Process, by: signal.Signals = signal.SIGKILL, within_seconds: float = 30.0) -> float:
    """Signal a process of ours, wait until it is gone and return how many seconds that took.

    Raises: TimeoutError when it had to be killed after all.
    """
    begun = time.monotonic()
    if process.poll() is None:
        process.send_signal(by)
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        raise TimeoutError(f"{process.args!r} did not end within {within_seconds:g} s of {by.name}.") from None
    return time.monotonic() - begun


def wait_until(is_ready: Callable[[], bool], within_seconds: float, otherwise: Callable[[], str]) -> None:
    """Poll every 20 ms until `is_ready()`. Raises: TimeoutError with `otherwise()` as its text."""
    give_up_at = time.monotonic() + within_seconds
    while not is_ready():
        if time.monotonic() > give_up_at:
            raise TimeoutError(otherwise())
        time.sleep(0.02)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
