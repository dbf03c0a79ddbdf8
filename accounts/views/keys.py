"""The keys of a workspace: a list, and a page for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import keyring, members, once, roles, services
from accounts.here import Here, member_page
from accounts.keyring import Made
from accounts.models import ApiKey
from accounts.roles import Action
from crosswire.lib.errors import CrossWireError


class KeyForm(forms.Form):
    """What a new key is to be."""

    name = forms.CharField(max_length=80, help_text="For you, to tell keys apart: where it is used.")
    instance_id = forms.CharField(
        label="Instance",
        max_length=80,
        required=False,
        help_text="Binds the key to this one name, which nobody else can use then. Empty: a workspace key, whose "
        "callers name themselves.",
    )
    is_read_only = forms.BooleanField(label="Read-only: it sees everything and changes nothing", required=False)


class NameForm(forms.Form):
    """A key's name."""

    name = forms.CharField(max_length=80)


def may_change(here: Here, key: ApiKey) -> bool:
    """Return whether this person may rename, rotate and revoke a key: anybody's, or their own."""
    own = key.created_by_id is not None and key.created_by_id == here.user.pk
    return here.may(Action.MANAGE_KEYS) or (own and here.may(Action.MAKE_KEYS))


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.VIEW)
def keys(request: HttpRequest, here: Here) -> HttpResponse:
    """Show the keys; a new one is shown in the answer to its form and never again."""
    form, made = KeyForm(), None
    if request.method == "POST":
        here.require(Action.MAKE_KEYS)
        form = KeyForm(request.POST)
        made = _make(request, here, form) if form.is_valid() else None
        form = KeyForm() if made else form
    listed = keyring.listed(here.workspace)
    shown = {"listed": listed, "form": form, "made": made, "may_make": here.may(Action.MAKE_KEYS)}
    return render(request, "accounts/keys.html", shown)


def _make(request: HttpRequest, here: Here, form: KeyForm) -> Made | None:
    """Make what a form asks for; a refusal stands at its field."""
    given = form.cleaned_data
    try:
        with once.only_once(request), members.acting(here.member, Action.MAKE_KEYS):
            return Made(*services.create_key(here.workspace, **given, created_by=here.user, actor=here.actor))
    except CrossWireError as refusal:
        field = refusal.details.get("field")
        form.add_error("instance_id" if refusal.code == "instance_in_use" else field, refusal.message)
        return None


@require_safe
@member_page(Action.VIEW)
def key(request: HttpRequest, here: Here, prefix: str) -> HttpResponse:
    """Show one key, and what can be done with it."""
    return _page(request, here, keyring.find(here.workspace, prefix))


@require_POST
@member_page(Action.MAKE_KEYS)
def rename(request: HttpRequest, here: Here, prefix: str) -> HttpResponse:
    """Give a key another name."""
    form = NameForm(request.POST)
    if not form.is_valid():
        return _page(request, here, keyring.find(here.workspace, prefix), form)
    with _changing(here, prefix) as found:
        keyring.rename(found, form.cleaned_data["name"], actor=here.actor)
    messages.success(request, "Renamed.")
    return redirect("key", here.workspace.slug, prefix)


@require_POST
@member_page(Action.MAKE_KEYS)
def rotate(request: HttpRequest, here: Here, prefix: str) -> HttpResponse:
    """Replace a key; the new one is shown in this answer and never again."""
    with once.only_once(request), _changing(here, prefix) as found:
        made = keyring.rotate(found, by=here.user, at_once=request.POST.get("old") == "now")
    return _page(request, here, keyring.find(here.workspace, made.key.prefix), made=made, replaced=prefix)


@require_POST
@member_page(Action.MAKE_KEYS)
def revoke(request: HttpRequest, here: Here, prefix: str) -> HttpResponse:
    """End a key."""
    with _changing(here, prefix) as found:
        services.revoke_key(found, actor=here.actor)
    messages.success(request, f"Revoked: {found.name} ({found.prefix}…). It works no more.")
    if keyring.replaced_by(found):
        return redirect("key", here.workspace.slug, prefix)  # which tells of what still works
    return redirect("keys", here.workspace.slug)


@contextmanager
def _changing(here: Here, prefix: str) -> Iterator[ApiKey]:
    """Return a key while this person may change it. Raises: PermissionDenied, CrossWireError `not_found`."""
    with members.acting(here.member, Action.MAKE_KEYS) as member:
        found = keyring.find(here.workspace, prefix)
        if not may_change(Here(member), found):
            raise PermissionDenied(roles.who_may(Action.MANAGE_KEYS))
        yield found


def _page(
    request: HttpRequest,
    here: Here,
    found: ApiKey,
    form: NameForm | None = None,
    *,
    made: Made | None = None,
    replaced: str = "",
) -> HttpResponse:
    shown = {
        "key": found,
        "is_live": keyring.is_live(found),
        "is_newest": keyring.is_newest(found),
        "elders": keyring.replaced_by(found),
        "may_change": may_change(here, found),
        "form": form or NameForm({"name": found.name}),
        "made": made,
        "replaced": keyring.find(here.workspace, replaced) if replaced else None,
    }
    return render(request, "accounts/key.html", shown)
