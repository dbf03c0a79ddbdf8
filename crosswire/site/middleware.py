"""Public pages are answered before anybody looks for a session: they need no database, and set no cookie."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from crosswire.site import urls


class PublicPagesMiddleware:
    """Answers the public addresses of `crosswire.site.urls`, and passes everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.views = urls.public_views()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request."""
        return self.views.get(request.path_info, self.get_response)(request)
