"""Load from many clients at once: connections that cost little, threads that begin together."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from tests.support.cast import Credential
from tests.support.surfaces import rest_request

ANSWER_SECONDS = 120.0  # a database that is away lets several callers time out one after the other
WORK_SECONDS = 300.0


@dataclass(frozen=True)
class Answer:
    """What came back. `code` is the refusal's, "" for a success."""

    status: int
    data: dict[str, Any]
    retry_after: str | None

    @property
    def code(self) -> str:
        """The error code, "" when there is none."""
        return str(self.data.get("code", ""))


class Broken(Exception):  # noqa: N818 - what happened, not whose fault
    """The connection broke before the answer was complete: nobody knows what the server did."""


class Wire:
    """One client's REST connection to a server, kept open and opened again when it broke; for one thread."""

    def __init__(self, url: str, caller: Credential) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)
        self._headers = {**caller.headers, "Content-Type": "application/json"}

    def __call__(self, operation: str, /, **arguments: Any) -> Answer:
        """Perform an operation. Raises: Broken."""
        method, path, left = rest_request(operation, arguments)
        body = json.dumps(left) if method == "POST" else None
        query = "" if body is not None or not left else f"?{urlencode(_query(left))}"
        return self._send(method, f"/api{quote(path, safe='/%')}{query}", body)

    def _send(self, method: str, target: str, body: str | None) -> Answer:
        try:
            self._connection.request(method, target, body, self._headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as problem:
            self._connection.close()
            raise Broken(str(problem)) from problem
        return Answer(response.status, json.loads(text), response.headers.get("Retry-After"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a later call opens it again."""
        self._connection.close()


def _query(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in arguments.items() if value is not None}


def together[T](work: Callable[[int], T], count: int) -> list[T]:
    """Run `work(0)` … `work(count - 1)` in threads that begin at the same moment; return what they return, in order."""
    start = threading.Barrier(count)

    def begin(number: int) -> T:
        start.wait(ANSWER_SECONDS)
        return work(number)

    with ThreadPoolExecutor(count, thread_name_prefix="load") as threads:
        futures = [threads.submit(begin, number) for number in range(count)]
        return [future.result(WORK_SECONDS) for future in futures]


def spread(urls: Sequence[str], number: int) -> str:
    """Return the server of the client with this number: neighbours call different ones."""
    return urls[number % len(urls)]
