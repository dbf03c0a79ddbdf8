"""What the page Connect shows: every client with its snippet, and which client has called since the page was opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.utils.dateparse import parse_datetime

from accounts import keyring, uses
from accounts.here import Here
from accounts.keyring import Made
from accounts.models import ApiKey
from accounts.roles import Action
from bus import access, snippets
from bus.guides import GUIDES, KINDS, Guide, recognise
from crosswire.lib import clock
from crosswire.lib.env import is_loopback

OLDEST = timedelta(days=1)
"""What a page asks about began this long ago at most."""


class SessionsForm(forms.Form):
    """Names for sessions that each get a key of their own."""

    names = forms.CharField(
        label="Names",
        max_length=500,
        help_text=f"One for each session, {keyring.TOGETHER_MOST} at most, with commas between.",
        widget=forms.TextInput(attrs={"placeholder": "api-expert, app-builder", "autocomplete": "off"}),
    )

    def clean_names(self) -> list[str]:
        """Return the names."""
        return [name for each in self.cleaned_data["names"].split(",") if (name := each.strip())]


@dataclass(frozen=True)
class Card:
    """A client on the page. `entries` in the place of `snippet` where fields are filled in."""

    guide: Guide
    snippet: str
    entries: list[snippets.Entry]
    sessions: str
    is_chosen: bool
    form: SessionsForm


@dataclass(frozen=True)
class Seen:
    """A use of a key: by which client, in words, and as which registered instance ("" for none yet)."""

    key: ApiKey
    client: str
    instance: str
    is_other: bool

    @property
    def protocol(self) -> str:
        """What was spoken."""
        return self.key.last_used_protocol


@dataclass
class Page:
    """The page for one person, with one client chosen and perhaps with keys that were just made."""

    here: Here
    chosen: Guide
    since: datetime
    made: Made | None = None
    sessions: Sequence[Made] = ()
    form: SessionsForm = field(default_factory=lambda: SessionsForm(auto_id="sessions_%s"))

    @cached_property
    def groups(self) -> list[tuple[str, list[Card]]]:
        """The clients by kind."""
        cards = [self._card(each) for each in GUIDES.values()]
        return [(kind, [card for card in cards if card.guide.kind == kind]) for kind in KINDS]

    def _card(self, guide: Guide) -> Card:
        key, instance = (self.made.text, self.made.key.instance_id) if self.made else (snippets.NO_KEY, "")
        snippet = snippets.render(guide, key, instance)
        is_chosen = guide is self.chosen
        begun = [snippets.Session(each.key.instance_id, each.text) for each in self.sessions] if is_chosen else []
        form = self.form if is_chosen else SessionsForm(auto_id=f"{guide.name}_%s")
        return Card(
            guide,
            snippet,
            snippets.entries(snippet) if guide.format == "fields" else [],
            snippets.render_sessions(guide, begun) if begun else "",
            is_chosen,
            form,
        )

    @property
    def instructions(self) -> str:
        """The text for CLAUDE.md and its like."""
        return snippets.instructions(self.sessions[0].key.instance_id if self.sessions else snippets.SOME_INSTANCE)

    @property
    def look_again(self) -> str:
        """The query with which the page looks again, without JavaScript."""
        return urlencode({"client": self.chosen.name, "since": clock.iso(self.since)})

    @cached_property
    def seen(self) -> list[Seen]:
        """Who has called since: first those that can be the chosen client, unknown programs among them."""
        rows = uses.since(self.here.workspace, self.since)
        names = {row.last_used_instance for row in rows} - {""}
        there = access.registered(self.here.principal, names) if names else set()
        return sorted((self._seen(row, there) for row in rows), key=lambda each: each.is_other)

    def _seen(self, row: ApiKey, there: set[str]) -> Seen:
        known = recognise(row.last_used_client)
        is_chosen = self.chosen in known
        title = (self.chosen if is_chosen else known[0]).title if known else row.last_used_client or "A program"
        instance = row.last_used_instance if row.last_used_instance in there else ""
        return Seen(row, title, instance, is_other=bool(known) and not is_chosen)

    @property
    def caller(self) -> Seen | None:
        """The chosen client, once it has called."""
        return self.seen[0] if self.seen and not self.seen[0].is_other else None

    @property
    def others(self) -> list[Seen]:
        """Who else has called."""
        return [each for each in self.seen if each is not self.caller]

    @property
    def context(self) -> dict[str, Any]:
        """What the templates are given."""
        return {
            "page": self,
            "chosen": self.chosen,
            "key": self.made,
            "may_make": self.here.may(Action.MAKE_KEYS),
            "is_local": is_loopback(settings.PUBLIC_HOST),
            "api_url": f"{settings.PUBLIC_URL}/api",
            "mcp_url": f"{settings.PUBLIC_URL}/mcp",
        }


def chosen(name: str | None) -> Guide:
    """Return the client of that name, the first one for any other."""
    return GUIDES.get(name or "", next(iter(GUIDES.values())))


def began(text: str | None) -> datetime | None:
    """Return the time a page says it was opened at, None for what is no such time."""
    try:
        found = parse_datetime(text or "")
    except ValueError:
        return None
    now = clock.now()
    return found if found is not None and found.tzinfo and now - OLDEST < found <= now else None
