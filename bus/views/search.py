"""Search: words and filters, and what was found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import rates
from accounts.here import Here, member_page
from accounts.roles import Action
from bus.models import Message
from bus.services import channels
from bus.services import search as searching
from bus.views import excerpts
from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import channel_name

FEW, MANY = 20, 50
SUGGESTED_MOST = 50
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class TextField(forms.CharField):
    """Text of any kind; what no database can hold falls away instead of being refused."""

    def to_python(self, value: Any) -> str:
        """Return the text without what cannot be stored, so that nothing there can be found by it."""
        return super().to_python(_UNSTORABLE.sub(" ", value) if isinstance(value, str) else value) or ""


class DayField(forms.DateField):
    """A day, from the browser's own calendar."""

    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class SearchForm(forms.Form):
    """What is looked for. Days are the person's own."""

    q = TextField(label="Words", max_length=500, required=False, widget=forms.TextInput(attrs={"type": "search"}))
    channel = TextField(max_length=200, required=False, widget=forms.TextInput(attrs={"list": "channels"}))
    sender = TextField(max_length=80, required=False)
    type = forms.ChoiceField(choices=[("", "any type"), *Message.Type.choices], required=False)
    since = DayField(label="From day", required=False)
    until = DayField(label="To day", required=False)

    def clean_channel(self) -> str:
        """Return the name as channels have it."""
        given: str = self.cleaned_data["channel"]
        try:
            return channel_name(given) if given else ""
        except CrossWireError as refusal:
            raise ValidationError(refusal.message) from None

    def clean(self) -> dict[str, Any]:
        """Refuse a time that ends before it begins."""
        found = super().clean() or self.cleaned_data
        since, until = found.get("since"), found.get("until")
        if since and until and since > until:
            self.add_error("until", "The last day lies before the first.")
        return found

    def filters(self) -> dict[str, Any]:
        """Return the arguments of the search; a day lasts from midnight to midnight where the person is."""
        found = self.cleaned_data
        names = {"channel": found["channel"], "sender": found["sender"], "message_type": found["type"]}
        times = {"since": _midnight(found["since"]), "until": _midnight(found["until"], days=1)}
        return {name: value or None for name, value in (names | times).items()}


@dataclass(frozen=True)
class Card:
    """A message that was found, and what of it is shown."""

    message: Message
    excerpt: str


@require_safe
@member_page(Action.VIEW)
def search(request: HttpRequest, here: Here) -> HttpResponse:
    """Show the form, and what it finds once there is something to look for."""
    form = SearchForm(request.GET or None, label_suffix="")
    shown: dict[str, Any] = {"form": form, "channels": channels.names(here.principal, SUGGESTED_MOST)}
    query = form.cleaned_data["q"] if form.is_valid() else ""
    if query:
        most = MANY if "many" in request.GET else FEW
        rates.count_operation(here.principal)
        found = searching.hits(here.principal, query=query, limit=most, **form.filters())
        shown["cards"] = [Card(row, excerpts.excerpt(row.content, query)) for row in found.messages]
        shown |= {"query": query, "back": found.back, "has_more": most == FEW and len(found.messages) == FEW}
    return render(request, "bus/search.html", shown)


def _midnight(day: Any, days: int = 0) -> datetime | None:
    """Return when a day begins in the person's zone; with `days`, just before that many have passed."""
    if day is None:
        return None
    try:
        begins = timezone.make_aware(datetime.combine(day + timedelta(days=days), time.min))
        return begins.astimezone(UTC) - timedelta(milliseconds=days)
    except OverflowError:  # the ends of the calendar
        return None
