"""All channels of a workspace, and making one."""

from __future__ import annotations

from django import forms
from django.contrib import messages as flash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.here import Here, member_page
from accounts.roles import Action
from bus.services import channels as service
from bus.services import limits
from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import channel_name, one_line

SHOWN = 50
FURTHEST = 20_000
"""Channels that one can page to."""


class NewChannel(forms.Form):
    """What a new channel is called and for."""

    name = forms.CharField(
        max_length=200, help_text="Lower-case letters, digits and dashes; blanks become dashes. Agents name it so."
    )
    description = forms.CharField(max_length=500, required=False, help_text="What it is for. Agents read it too.")

    def clean_name(self) -> str:
        """Return the name in its normal form."""
        try:
            return channel_name(self.cleaned_data["name"])
        except CrossWireError as refusal:
            raise forms.ValidationError(refusal.message) from None

    def clean_description(self) -> str:
        """Return the description if it is one line."""
        try:
            return one_line("description", self.cleaned_data["description"].strip(), most=500, least=0)
        except CrossWireError as refusal:
            raise forms.ValidationError(refusal.message) from None


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.VIEW)
def channels(request: HttpRequest, here: Here) -> HttpResponse:
    """Show the channels by latest activity; make one."""
    form = NewChannel(request.POST if request.method == "POST" else None, label_suffix="")
    status = 200
    if request.method == "POST":
        here.require(Action.POST)
        try:
            if form.is_valid():
                return _make(request, here, form)
            status = 400
        except CrossWireError as refusal:
            form.add_error(None, refusal.message)
            status = refusal.status
    return render(request, "bus/channels.html", {"form": form, **_listed(request, here)}, status=status)


def _make(request: HttpRequest, here: Here, form: NewChannel) -> HttpResponse:
    made = service.create(here.principal, **form.cleaned_data)
    name = made["channel"]
    flash.success(request, f"#{name} is ready." if made["created"] else f"#{name} was there already.")
    return redirect("channel", here.workspace.slug, name)


def _listed(request: HttpRequest, here: Here) -> dict[str, object]:
    """Return what the page shows."""
    query = request.GET.get("q", "").replace("\0", "")[:200]
    start = _start(request)
    found = service.cards(here.principal, query=query, start=start, most=SHOWN + 1)
    archived = service.cards(here.principal, query=query, most=SHOWN, is_archived=True)
    return {
        "query": query,
        "channels": found[:SHOWN],
        "archived": archived,
        "start": start,
        "before": max(0, start - SHOWN),
        "next": start + SHOWN if len(found) > SHOWN else None,
        "limit": here.principal.plan.channels,
        "used": limits.channels_used(here.principal),
        "plan": here.principal.plan,
    }


def _start(request: HttpRequest) -> int:
    given = request.GET.get("start", "")
    return min(int(given), FURTHEST) if given.isdecimal() and given.isascii() and len(given) < 9 else 0
