"""A client of `GET /api/events`: it reads Server-Sent Events as a browser does, on a connection of its own."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from tests.support.cast import Credential

PATH = "/api/events"
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Event:
    """One event. `id` is the last id that the stream had told by then."""

    name: str
    data: dict[str, Any]
    id: str


class EventStream:
    """An open stream; `next()` blocks until there is an event. `status` and `refusal` when there is none."""

    def __init__(
        self, url: str, caller: Credential | None, *, last_event_id: str = "", headers: Any = None, **query: Any
    ) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)
        sent = {"Accept": "text/event-stream", **(caller.headers if caller else {}), **(headers or {})}
        if last_event_id:
            sent["Last-Event-ID"] = last_event_id
        self._connection.request("GET", f"{PATH}{'?' if query else ''}{urlencode(query)}", headers=sent)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.headers = self._answer.headers
        self.refusal: dict[str, Any] = json.loads(self._answer.read()) if self.status != 200 else {}
        self.last_id = last_event_id
        self.comments: list[str] = []
        self.retry = ""
        if self.status == 200 and not last_event_id and "after_id" not in query:
            self._read_until_position()

    def next(self) -> Event | None:
        """Return the next event; None when the stream is at its end."""
        fields: dict[str, str] = {}
        while True:
            line = self._answer.readline().decode()
            if not line:
                return None
            if line != "\n":
                self._note(line.rstrip("\n"), fields)
            elif "data" in fields:
                return Event(fields.get("event", "message"), json.loads(fields["data"]), self.last_id)

    def moved(self) -> tuple[str, int]:
        """Return the next event's channel and number."""
        event = self.next()
        assert event is not None, "the stream ended"
        assert event.name == "message", event
        return event.data["channel"], event.data["newest_id"]

    def ended(self) -> str:
        """Read to the end; return why it ended, "" when it does not say."""
        why = ""
        while event := self.next():
            why = event.data["why"] if event.name == "end" else ""
        return why

    def comment(self) -> None:
        """Read up to the next comment."""
        before = len(self.comments)
        while len(self.comments) == before:
            line = self._answer.readline().decode()
            assert line, "the stream ended"
            self._note(line.rstrip("\n"), {})

    def _read_until_position(self) -> None:
        while not self.last_id:
            line = self._answer.readline().decode()
            assert line, "the stream ended"
            self._note(line.rstrip("\n"), {})

    def _note(self, line: str, fields: dict[str, str]) -> None:
        name, _, value = line.partition(": ")
        if line.startswith(":"):
            self.comments.append(line)
        elif name == "id":
            self.last_id = value
        elif name == "retry":
            self.retry = value
        else:
            fields[name] = value

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
