"""What is shown when nothing else answers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from crosswire.lib.errors import CrossWireError

MACHINE_PATHS = ("api", "mcp", "health")
"""First parts of the paths whose callers are programs: they get errors as JSON."""


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that this person may not do that here, and who may: what the exception says."""
    refusal = CrossWireError("forbidden", str(exception) or "Your account does not allow that.")
    return _answer(request, refusal, "403.html")


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is nothing at this address, as JSON to programs."""
    refusal = CrossWireError("not_found", "There is nothing at this address.")
    return _answer(request, refusal, "404.html")


def handler429(request: HttpRequest) -> HttpResponse:
    """Say that this came too often; allauth's rate limits answer with it."""
    refusal = CrossWireError("rate_limited", "That came too often; try again in a minute.", retry_after=60)
    response = _answer(request, refusal, "429.html")
    response["Retry-After"] = "60"
    return response


def handler500(request: HttpRequest) -> HttpResponse:
    """Say that the fault is ours, without any detail, as JSON to programs."""
    refusal = CrossWireError("internal", "Something went wrong on our side; the call may be tried again.")
    return _answer(request, refusal, "500.html")


def _answer(request: HttpRequest, refusal: CrossWireError, template: str) -> HttpResponse:
    if request.path_info.split("/", 2)[1] in MACHINE_PATHS:
        return JsonResponse(refusal.as_dict(), status=refusal.status)
    return render(request, template, {"refusal": refusal}, status=refusal.status)
