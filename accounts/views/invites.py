"""What an invited person sees: the link of an invite, and all invites that wait for them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_http_methods, require_safe

from accounts import invites, roles
from accounts.here import refused
from accounts.models import User
from accounts.roles import Action
from crosswire.lib.errors import CrossWireError

ACCEPT, DECLINE = "accept", "decline"


class AnswerForm(forms.Form):
    """Which invite, and the answer to it."""

    invite = forms.IntegerField(min_value=1, max_value=2**63 - 1)
    answer = forms.ChoiceField(choices=[(ACCEPT, "Accept"), (DECLINE, "Decline")])


@require_safe
def invite(request: HttpRequest, token: str) -> HttpResponse:
    """Show an invite to whom it is for; to others that there is one, and nothing of it."""
    found = invites.find(token)
    state = invites.state_of(found) if found else None
    is_theirs = found is not None and isinstance(request.user, User) and invites.is_for(found, request.user)
    shown: dict[str, Any] = {"state": state, "invite": None, "here_again": request.path}
    if found and is_theirs:
        shown |= {"invite": found, "allowed": [each for each in Action if roles.may(found.role, each)]}
    response = render(request, "accounts/invite.html", shown, status=_status(request, state, is_theirs=is_theirs))
    add_never_cache_headers(response)
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invites_page(request: HttpRequest) -> HttpResponse:
    """List the invites that wait for this person; take their answer to one."""
    assert isinstance(request.user, User)
    if request.method == "POST":
        try:
            return _answer(request, request.user)
        except CrossWireError as refusal:
            return refused(request, refusal)
    waiting = invites.pending_for(request.user)[: invites.LISTED_MOST]
    response = render(request, "accounts/invites.html", {"invites": waiting})
    add_never_cache_headers(response)
    return response


def _answer(request: HttpRequest, user: User) -> HttpResponse:
    form = AnswerForm(request.POST)
    if not form.is_valid():
        raise CrossWireError("invalid_input", "Say which invite you answer, and whether you accept it.")
    if form.cleaned_data["answer"] == ACCEPT:
        member = invites.accept(user, form.cleaned_data["invite"])
        messages.success(
            request, f"Welcome to {member.workspace.name}. You are {member.get_role_display().lower()} here."
        )
        return redirect("overview", member.workspace.slug)
    declined = invites.decline(user, form.cleaned_data["invite"])
    messages.success(request, f"You declined the invite to {declined.workspace.name}.")
    return redirect("home")


def _status(request: HttpRequest, state: invites.State | None, *, is_theirs: bool) -> int:
    if state is None:
        return 404
    if state is not invites.State.PENDING:
        return 410
    return 403 if request.user.is_authenticated and not is_theirs else 200
