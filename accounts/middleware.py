"""What accounts does around every page."""

from __future__ import annotations

import time
import zoneinfo
from collections.abc import Callable

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.models import User

SEEN_AT = "seen_at"
SEEN_EVERY_SECONDS = 300


class SessionListMiddleware:
    """Keeps the list of a person's sessions: that each is there, and now and then when and from where it was used.

    allauth's own writes on every request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, having noted the session if that was not done lately."""
        now = time.time()
        if "sessionid" in request.COOKIES and isinstance(request.user, User):
            seen_at, seen_from = request.session.get(SEEN_AT, (0, ""))
            address = get_adapter().get_client_ip(request)
            if now - seen_at > SEEN_EVERY_SECONDS or address != seen_from:
                UserSession.objects.create_from_request(request)
                request.session[SEEN_AT] = (now, address)
        return self.get_response(request)


class FormAddressMiddleware:
    """Has the address of a form, opened by itself, say so: it stays in the bar after an error. The status stays 405."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer; an empty 405 for a page becomes one that says something."""
        response = self.get_response(request)
        if response.status_code != 405 or request.method != "GET" or not request.path_info.startswith("/w/"):
            return response
        page = render(request, "accounts/form_address.html", status=405)
        page["Allow"] = response["Allow"]
        return page


class TimeZoneMiddleware:
    """Shows times in the person's own zone. Reading it needs the person, so only pages that look at them pay."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in the person's zone, UTC for strangers and for zones that are no more."""
        if "sessionid" in request.COOKIES and isinstance(request.user, User):
            try:
                zone = zoneinfo.ZoneInfo(request.user.time_zone)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError):
                zone = zoneinfo.ZoneInfo("UTC")
            with timezone.override(zone):
                return self.get_response(request)
        return self.get_response(request)
