"""Making a further workspace."""

from __future__ import annotations

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from accounts import members
from accounts.here import FIRST_KEY, LAST_WORKSPACE
from accounts.models import User
from crosswire.lib.errors import CrossWireError


class WorkspaceForm(forms.Form):
    """What a workspace is called."""

    name = forms.CharField(max_length=120, help_text="Your team, your project, yourself. You can change it later.")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Ask for a name, make the workspace and go there, or to the page that its owner came for."""
    assert isinstance(request.user, User)
    after = _next(request)
    form = WorkspaceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            owner = members.found_workspace(request.user, form.cleaned_data["name"])
        except CrossWireError as refusal:
            form.add_error("name", refusal.message)
        else:
            request.session[FIRST_KEY] = True
            request.session[LAST_WORKSPACE] = owner.workspace.slug
            return redirect(after or reverse("connect", args=[owner.workspace.slug]))
    shown = {"form": form, "next": after}
    return render(request, "accounts/workspace_new.html", shown, status=400 if form.errors else 200)


def _next(request: HttpRequest) -> str:
    """Return where the new workspace's owner wanted to go: a page of ours, else ""."""
    wanted = str((request.POST if request.method == "POST" else request.GET).get("next", ""))
    return wanted if url_has_allowed_host_and_scheme(wanted, {request.get_host()}) else ""
