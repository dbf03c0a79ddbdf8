"""The operators' console: Django's admin under our name, on our pages.

Nobody enters with a password alone, nothing that people and agents wrote to each other is shown, and every change goes
through the services that everybody else uses.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.adapters import has_second_factor
from crosswire.console import overview
from crosswire.console.rows import Rows

PLACES = (
    ("Overview", "admin:index"),
    ("Workspaces", "admin:accounts_workspace_changelist"),
    ("People", "admin:accounts_user_changelist"),
    ("Subscriptions", "admin:billing_subscription_changelist"),
    ("Stripe's events", "admin:billing_stripeevent_changelist"),
    ("Audit log", "admin:accounts_auditevent_changelist"),
)
"""Where one can go: title and name of the address."""


class OperatorSite(admin.AdminSite):
    """The admin site for the people who run the service. Nobody enters with a password alone."""

    site_header = "CrossWire operators"
    site_title = "CrossWire operators"
    index_title = "Overview"
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Show what is made for this console and nothing else: packages bring lists of their own, in which anything can
        be changed, and second factors stand with their secrets."""
        if admin_class is not None and issubclass(admin_class, Rows):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may be here: staff, with a second factor."""
        return super().has_permission(request) and has_second_factor(request.user)  # type: ignore[arg-type] # staff

    def get_urls(self) -> list[Any]:
        """Return the addresses: those of Django's that change passwords or look things up for forms are not among
        them."""
        unwanted = {"password_change", "password_change_done", "autocomplete", "view_on_site", "jsi18n", "app_list"}
        own = [each for each in super().get_urls() if getattr(each, "name", None) not in unwanted]
        return [path("password_change/", self.password_change, name="password_change"), *own]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send a person on: to the console, to signing in as everybody does, or to setting up a second factor."""
        asked = request.GET.get("next", "")
        target = asked if url_has_allowed_host_and_scheme(asked, {request.get_host()}) else reverse("admin:index")
        if request.user.is_anonymous:
            return redirect_to_login(target)
        if self.has_permission(request):
            return redirect(target)
        if not (request.user.is_active and request.user.is_staff):
            raise PermissionDenied("These pages are for the people who run this installation.")
        messages.warning(request, "Operators need two-factor sign-in: set up an authenticator app or a passkey first.")
        return redirect("mfa_index")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Send a person to signing out as everybody does."""
        return redirect("account_logout")

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Send a person to changing the password as everybody does."""
        return redirect("account_change_password")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return nothing: where one can go is in `PLACES`."""
        return []

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what every page of the console shows."""
        shown: dict[str, Any] = super().each_context(request)
        urls = [(title, reverse(name)) for title, name in PLACES]
        here = max((url for _, url in urls if request.path.startswith(url)), key=len, default="")
        shown["places"] = [{"title": title, "url": url, "is_current": url == here} for title, url in urls]
        return shown

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show how the service is and what goes on."""
        return super().index(request, {**overview.shown(), **(extra_context or {})})
