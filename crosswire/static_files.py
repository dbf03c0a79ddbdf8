"""Static files under ASGI: read whole, since they are small and Django streams files only to WSGI servers."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # it ships no types
    """WhiteNoise, without a warning for each file and a file left open."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Return a static file."""
        found = static_file.get_response(request.method, request.META)
        with found.file or nullcontext() as file:
            content = file.read() if file else b""
        response = HttpResponse(content, status=int(found.status))
        del response["Content-Type"]  # Django's guess; WhiteNoise names it where there is something
        for name, value in found.headers:
            response[name] = value
        return response
