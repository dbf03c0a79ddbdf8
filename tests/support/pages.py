"""Pages as Django's client gets them: what they say, what they cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.support.people import Person

QUERIES = 20
"""A page takes fewer statements than that."""
_CONTROL = re.compile(r"(BEGIN|COMMIT|SAVEPOINT|RELEASE)\b|.*usersessions")


def shown(person: Person, path: str = "", status: int = 200) -> str:
    """Return a page below the person's workspace; it has to come with this status."""
    answer = person.client().get(person.home + path)
    assert answer.status_code == status, answer.status_code
    return answer.content.decode()


def said(person: Person, path: str = "") -> str:
    """Return what such a page says."""
    return text_of(shown(person, path))


def text_of(page: str) -> str:
    """Return what a page says, without markup, as one line."""
    page = re.sub(r"(?s)<meter.*?</meter>", "", page)
    return re.sub(r" (?=[,.;:])", "", " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split()))


@contextmanager
def counting() -> Iterator[list[str]]:
    """Record what the block runs in this thread, but for transactions and allauth's note of when a session was seen."""
    ran: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield ran
    ran += [each["sql"][:200] for each in captured.captured_queries if not _CONTROL.match(each["sql"])]
