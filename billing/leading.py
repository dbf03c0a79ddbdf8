"""Leading a browser to Stripe's pages.

Chromium follows a form's redirects with `form-action` of the page that has the form: a page with a button that leads
to Stripe names where it leads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.csp import csp_override

from billing import gateway

STRIPE = ("https://checkout.stripe.com", "https://billing.stripe.com", "https://invoice.stripe.com")


def origins() -> list[str]:
    """Return where Stripe's pages are, or those of what stands in for it."""
    if settings.STRIPE_API_URL:
        return [_origin(settings.STRIPE_API_URL)]
    return [_origin(settings.PUBLIC_URL)] if gateway.is_demo() else list(STRIPE)


def leads_to_stripe[**P](view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Make a view one whose forms may lead to Stripe's pages."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        policy: dict[str, Any] = dict(settings.SECURE_CSP)
        policy["form-action"] = [*policy["form-action"], *origins()]
        answer: HttpResponse = csp_override(policy)(view)(*args, **kwargs)
        return answer

    return wrapped


def lead(request: HttpRequest, url: str) -> HttpResponse:
    """Send a browser to a page of Stripe's; where a browser would not follow (a domain of one's own there), show a
    link."""
    if _origin(url) in origins():
        return HttpResponseRedirect(url)
    return render(request, "billing/go_on.html", {"url": url, "host": urlsplit(url).netloc})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
