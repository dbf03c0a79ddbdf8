"""What people paste: a client's snippet with the addresses and a key in it, and the text for an agent's instructions.

Plain text. On a page it is escaped like any other; in Markdown it stands in a fenced block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.template.loader import render_to_string

from bus.guides import Guide
from bus.teaching import PROTOCOL

NO_KEY = "YOUR_KEY"
"""Stands for a key that is not shown here."""
SOME_INSTANCE = "api-expert"
FOLDER = "snippets"


class Session(NamedTuple):
    """One of several sessions of a client on a machine: its instance, and the key of that."""

    instance: str
    key: str


class Entry(NamedTuple):
    """A field that somebody fills in, and with what."""

    label: str
    value: str


def render(guide: Guide, key: str = NO_KEY, instance: str = "", url: str = "") -> str:
    """Return a client's snippet. `url` is the server's address, the public one unless told."""
    return _text(guide.name, url, key=key, instance=instance or guide.name)


def render_sessions(guide: Guide, sessions: Sequence[Session], url: str = "") -> str:
    """Return how several sessions of a client begin, each with its own key."""
    return _text(f"sessions/{guide.name}", url, sessions=sessions)


def instructions(instance: str = SOME_INSTANCE) -> str:
    """Return what goes into CLAUDE.md, AGENTS.md or an agent's custom instructions."""
    return _text("instructions", "", instance=instance, protocol=PROTOCOL)


def entries(snippet: str) -> list[Entry]:
    """Return the fields of a snippet whose format is `fields`."""
    return [Entry(label, value) for label, _, value in (line.partition(": ") for line in snippet.splitlines())]


def _text(name: str, url: str, **values: Any) -> str:
    url = url or settings.PUBLIC_URL
    key = values.get("key", NO_KEY)
    told = {
        "mcp_url": f"{url}/mcp",
        "api_url": f"{url}/api",
        "openapi_url": f"{url}/openapi.json",
        "bearer": f"Bearer {key}",
        "authorization": f"Authorization: Bearer {key}",
        "prompt": "Register on CrossWire as gemini, then tell me who else is there.",
    }
    return render_to_string(f"{FOLDER}/{name}.txt", told | values).strip() + "\n"
