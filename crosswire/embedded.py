"""Daphne inside this process: the server behind `manage.py run`."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from daphne.server import Server
from twisted.internet import reactor as twisted_reactor

from crosswire import asgi, ticker

reactor: Any = twisted_reactor  # typed as an interface, whose methods have no self
HOST = "127.0.0.1"
ANSWER_SECONDS = 2.0
"""How long waits and streams have to end in good order."""
STOP_SECONDS = 4.0
"""When the process leaves even if a request will not end; nothing acknowledged can be lost by that."""


class PortTaken(Exception):  # noqa: N818 - says what happened
    """The port cannot be had; the text says why."""


def take_port(port: int) -> socket.socket:
    """Return a socket bound to the port, not yet listening. Raises: PortTaken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as problem:
        listener.close()
        raise PortTaken(problem.strerror) from problem
    return listener


def serve(listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C or SIGTERM; `on_ready` is called once the port accepts connections.

    Raises: PortTaken when another program came first to listen there.
    """
    try:
        listener.listen(1024)
    except OSError as problem:
        raise PortTaken(problem.strerror) from problem
    # No action_logger: Daphne's access log would show ?api_key=.
    server = Server(
        asgi.application,
        endpoints=[f"fd:fileno={listener.detach()}"],  # Twisted closes it
        signal_handlers=False,
        server_name="",
        ready_callable=on_ready,
    )
    Ending(server).watch()
    ticker.start()
    server.run()


class Ending:
    """Ends the server in good order: waits are answered first, while Daphne would just cut them off."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.until = 0.0

    def watch(self) -> None:
        """Begin on Ctrl-C and SIGTERM; a second one ends everything at once."""
        signal.signal(signal.SIGTERM, self.on_signal)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # ignored for jobs in the background: leave it so
            signal.signal(signal.SIGINT, self.on_signal)

    def on_signal(self, number: int, frame: Any) -> None:
        """Go on where the server's own code runs, never in the middle of it."""
        if self.until:
            os._exit(0)
        self.until = time.monotonic() + ANSWER_SECONDS
        deadline = threading.Timer(STOP_SECONDS, os._exit, (0,))
        deadline.daemon = True
        deadline.start()
        reactor.callFromThread(self.begin)

    def begin(self) -> None:
        """Have the application end its waits and streams."""
        asgi.stop()
        self.finish_when_idle()

    def finish_when_idle(self) -> None:
        """Stop the server once every request is answered, or when the time for that is over."""
        if self.is_busy() and time.monotonic() < self.until:
            reactor.callLater(0.05, self.finish_when_idle)
        else:
            reactor.callLater(0.05, reactor.stop)  # a moment for the last answers to leave

    def is_busy(self) -> bool:
        """Return whether a request is under way."""
        under_way = (details.get("application_instance") for details in self.server.connections.values())
        return any(request is not None and not request.done() for request in under_way)
