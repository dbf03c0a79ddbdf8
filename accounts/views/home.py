"""Where a person goes after signing in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts import here, invites
from accounts.models import User


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Go to the workspace seen last, else to the oldest one; who has none sees their invites, or how to get one."""
    assert isinstance(request.user, User)
    member = here.last(request)
    if member is None and invites.pending_for(request.user).exists():
        return redirect("invites")
    if member is None:
        return render(request, "accounts/no_workspace.html")
    return redirect("overview", member.workspace.slug)
