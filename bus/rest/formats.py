"""How DRF reads and writes: the same keys, the same JSON as the lane. Apart from the views, since DRF's settings name
these classes while its views are being imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest
from rest_framework import parsers, renderers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import principals
from accounts.principals import Principal
from bus.rest import lane
from crosswire.lib import http, logs
from crosswire.lib.errors import CrossWireError

_REFUSAL = "crosswire.refusal"


class OrjsonParser(parsers.BaseParser):
    """Reads a JSON object exactly as the lane does."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Return the object. Raises: CrossWireError `invalid_input`, `too_large`."""
        view = (parser_context or {}).get("view")
        operation = getattr(view, "operations", {}).get("POST")
        most = lane.body_limit(operation) if operation else settings.MAX_BODY_BYTES
        body = stream.read(most + 1)
        if len(body) > most:
            raise http.too_large(most)
        return http.json_object(body)


class OrjsonRenderer(renderers.BaseRenderer):
    """Writes JSON exactly as the lane does; indented for the browsable API."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "text"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Return the bytes."""
        is_browsed = bool((renderer_context or {}).get("indent"))
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_INDENT_2 if is_browsed else None)


class KeyAuthentication(BaseAuthentication):
    """The same keys in the same places as everywhere; the principal is `request.auth`.

    Why there is none waits in `refusal_of` for the view: DRF asks again while it renders a page, which must not fail.
    """

    def authenticate(self, request: Request) -> tuple[None, Principal] | None:
        """Return the caller, None without a key that works."""
        key = key_of(request)
        client = request.headers.get("user-agent", "")
        try:
            if not key:
                raise principals.missing_key()
            principal = principals.authenticate(key)
        except CrossWireError as refusal:
            request.META[_REFUSAL] = refusal
            return None
        logs.note_workspace(principal.workspace_id)
        return None, principal.calling(client)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return 'Bearer realm="CrossWire"'


def refusal_of(request: Request) -> CrossWireError:
    """Return why a request has no caller."""
    refusal: CrossWireError = request.META[_REFUSAL]
    return refusal


def key_of(request: HttpRequest | Request) -> str:
    """Return the key of a Django request, looked for in the same order as on the lane."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
    query = request.META.get("QUERY_STRING", "").encode("latin-1")
    return http.take_key({"headers": headers, "query_string": query})[0]
