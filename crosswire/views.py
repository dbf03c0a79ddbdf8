"""The pages that belong to no app: the landing page, and what is shown when nothing else answers."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.plans import PLANS
from crosswire.lib.errors import CrossWireError

MACHINE_PATHS = ("api", "mcp", "health")
"""First parts of the paths whose callers are programs: they get errors as JSON."""


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show what CrossWire is and how to connect."""
    return render(request, "index.html", {"public_url": settings.PUBLIC_URL})


@require_safe
def pricing(request: HttpRequest) -> HttpResponse:
    """Show what each plan allows."""
    return render(request, "pricing.html", {"plans": [plan for plan in PLANS.values() if plan.is_public]})


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is nothing at this address, as JSON to programs."""
    refusal = CrossWireError("not_found", "There is nothing at this address.")
    return _answer(request, refusal, "404.html")


def handler500(request: HttpRequest) -> HttpResponse:
    """Say that the fault is ours, without any detail, as JSON to programs."""
    refusal = CrossWireError("internal", "Something went wrong on our side; the call may be tried again.")
    return _answer(request, refusal, "500.html")


def _answer(request: HttpRequest, refusal: CrossWireError, template: str) -> HttpResponse:
    if request.path_info.split("/", 2)[1] in MACHINE_PATHS:
        return JsonResponse(refusal.as_dict(), status=refusal.status)
    return render(request, template, status=refusal.status)
