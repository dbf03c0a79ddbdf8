"""The page that says that a form was too old."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that a form came without its token, and lead back to where it was."""
    came_from = request.headers.get("referer", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, allowed_hosts={request.get_host()})
    return render(request, "403_csrf.html", {"back": came_from if is_ours else reverse("home")}, status=403)
