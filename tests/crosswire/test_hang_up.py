"""Clients that leave before they are answered: nothing of theirs stays behind."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from tests.support.cast import Caller
from tests.support.people import make_person
from tests.support.processes import wait_until

TIMES = 90


@contextmanager
def connections_of_requests() -> Iterator[list[BaseDatabaseWrapper]]:
    """Collect the database connections that are opened for Django's requests."""
    found: list[BaseDatabaseWrapper] = []

    def note(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if threading.current_thread().name.startswith("ThreadPoolExecutor"):
            found.append(connection)

    connection_created.connect(note)
    try:
        yield found
    finally:
        connection_created.disconnect(note)


def hang_up(url: str, request: bytes, after_seconds: float | None) -> None:
    """Send a request and leave: after so many seconds, or (None) when the answer has begun."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
        connection.sendall(request)
        if after_seconds is None:
            connection.recv(10)
        else:
            time.sleep(after_seconds)  # what is looked for is in the middle of a request, wherever that is


def page() -> bytes:
    name, value = make_person().cookie()
    return f"GET /accounts/email/ HTTP/1.1\r\nHost: localhost\r\nCookie: {name}={value}\r\n\r\n".encode()


def form() -> bytes:
    body = b"login=nobody%40example.com&password=x"
    head = f"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode() + body


def rest(caller: Caller) -> bytes:
    return f"GET /api/channels HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {caller.key}\r\n\r\n".encode()


@pytest.mark.parametrize("asked", ["page", "form", "rest"])
def test_who_leaves_early_leaves_no_connection_to_the_database_open(
    drf_url: str, alice: Caller, asked: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = rest(alice) if asked == "rest" else page() if asked == "page" else form()
    with connections_of_requests() as opened:
        for after in itertools.islice(itertools.cycle([None, 0, 0.002, 0.004, 0.008, 0.015]), TIMES):
            hang_up(drf_url, request, after)
        wait_until(lambda: not any(each.connection for each in opened), 15, lambda: "A connection is never given back.")
    assert opened or asked == "form"
    if asked != "rest":  # there a wait ends at once, whatever that interrupts
        assert not [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
