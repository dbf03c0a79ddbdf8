"""Public pages as bytes: each made once in this process, compressed, with an ETag.

They are the same for everybody but for what the bar offers, so there are two of each: for strangers, which caches may
keep, and for browsers that bring a session, which is not looked into: no page here needs the database.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

import brotli
from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from crosswire.site import pages
from crosswire.site.pages import Page

KEPT_SECONDS = 300


@dataclass(frozen=True)
class Body:
    """What is sent: in each encoding a browser may ask for, with the ETag of that."""

    content_type: str
    encodings: dict[str, bytes]
    etags: dict[str, str]

    @classmethod
    def of(cls, text: str | bytes, content_type: str = "text/html; charset=utf-8") -> Body:
        """Return a text in every encoding."""
        raw = text.encode() if isinstance(text, str) else text
        encodings = {"br": brotli.compress(raw, quality=9), "gzip": gzip.compress(raw, mtime=0), "": raw}
        etags = {name: f'"{sha256(each).hexdigest()[:24]}"' for name, each in encodings.items()}
        return cls(content_type, encodings, etags)


@cache
def page_body(page: Page, *, is_signed_in: bool) -> Body:
    """Return a page as it is sent."""
    return Body.of(pages.html(page, is_signed_in=is_signed_in))


def has_session(request: HttpRequest) -> bool:
    """Return whether the browser brings a session; whether it still holds is for the pages behind it to find out."""
    return settings.SESSION_COOKIE_NAME in request.COOKIES


def page_view(page: Page) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the view of a page."""

    @require_safe
    def view(request: HttpRequest) -> HttpResponseBase:
        if CookieStorage.cookie_name in request.COOKIES:
            return _with_messages(request, page)
        return answer(request, page_body(page, is_signed_in=has_session(request)))

    view.is_public = True  # type: ignore[attr-defined] # the middleware's mark
    return view


def file_view(made: Callable[[], Body]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the view of a public file."""
    body = cache(made)

    @require_safe
    def view(request: HttpRequest) -> HttpResponseBase:
        return answer(request, body())

    view.is_public = True  # type: ignore[attr-defined] # as above
    return view


def answer(request: HttpRequest, body: Body) -> HttpResponseBase:
    """Answer with a body, or with 304 when the browser has it."""
    accepted = request.headers.get("accept-encoding", "")
    encoding = next((name for name in ("br", "gzip") if _accepts(accepted, name)), "")
    response = HttpResponse(body.encodings[encoding], content_type=body.content_type)
    if encoding:
        response["Content-Encoding"] = encoding
    response["Content-Length"] = str(len(body.encodings[encoding]))
    response["Vary"] = "Cookie, Accept-Encoding"
    response["ETag"] = etag = body.etags[encoding]
    is_private = has_session(request)
    response["Cache-Control"] = "private, no-cache" if is_private else f"public, max-age={KEPT_SECONDS}"
    found = get_conditional_response(request, etag=etag, response=response)
    assert found is not None
    return found


def _accepts(header: str, encoding: str) -> bool:
    """Return whether an Accept-Encoding names an encoding, and not to forbid it."""
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == encoding:
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _with_messages(request: HttpRequest, page: Page) -> HttpResponseBase:
    """Answer with a page made for one browser: somebody is to be told something, such as that they signed out."""
    waiting = CookieStorage(request)
    text = pages.html(page, is_signed_in=has_session(request), messages=list(waiting))
    response = HttpResponse(text, headers={"Cache-Control": "private, no-store", "Vary": "Cookie"})
    waiting.update(response)
    return response
