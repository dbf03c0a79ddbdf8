"""Connect: pick a client, take its snippet, see it call."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_safe

from accounts import keyring, members, once, services, uses
from accounts.here import FIRST_KEY, Here, member_page
from accounts.keyring import Made
from accounts.roles import Action
from bus import connecting
from bus.connecting import Page, SessionsForm
from crosswire.lib.errors import CrossWireError, invalid


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.VIEW)
def connect(request: HttpRequest, here: Here) -> HttpResponse:
    """Show how to connect; a key that is made on the way is shown in this answer and never again."""
    given = request.POST if request.method == "POST" else request.GET
    since = connecting.began(given.get("since")) or uses.watch(here.workspace)
    page = Page(here, connecting.chosen(given.get("client")), since)
    if request.method == "POST":
        here.require(Action.MAKE_KEYS)
        _make(request, page)
    elif request.method == "GET":
        page.made = _first_key(request, here)
    return render(request, "bus/connect.html", page.context)


def _make(request: HttpRequest, page: Page) -> None:
    """Make what the form asks for: keys for the sessions it names, else one for the client."""
    here = page.here
    if "names" not in request.POST:
        with once.only_once(request), members.acting(here.member, Action.MAKE_KEYS):
            made = services.create_key(here.workspace, page.chosen.title, created_by=here.user, actor=here.actor)
        page.made = Made(*made)
        return
    if not page.chosen.has_sessions:
        raise invalid(f"{page.chosen.title} takes one key.")
    page.form = SessionsForm(request.POST, auto_id="sessions_%s")
    if page.form.is_valid():
        try:
            with once.only_once(request), members.acting(here.member, Action.MAKE_KEYS):
                page.sessions = keyring.make_for_instances(here.workspace, page.form.cleaned_data["names"], here.user)
        except CrossWireError as refusal:
            page.form.add_error("names", refusal.message)


def _first_key(request: HttpRequest, here: Here) -> Made | None:
    """Make the key of somebody who has just signed up; a browser that fetches ahead is not shown it."""
    if "prefetch" in request.headers.get("Sec-Purpose", "") or not here.may(Action.MAKE_KEYS):
        return None
    return keyring.make_first(here.workspace, here.user) if request.session.pop(FIRST_KEY, False) else None


@require_safe
@member_page(Action.VIEW)
def seen(request: HttpRequest, here: Here) -> HttpResponse:
    """Tell whether the client has called since the page was opened, and how that reads."""
    since = connecting.began(request.GET.get("since")) or uses.watch(here.workspace)
    page = Page(here, connecting.chosen(request.GET.get("client")), since)
    caller = page.caller
    return JsonResponse(
        {
            "connected": caller is not None,
            "client": caller and caller.client,
            "protocol": caller and caller.protocol,
            "instance": (caller and caller.instance) or None,
            "html": render_to_string("bus/seen.html", page.context),
        }
    )
