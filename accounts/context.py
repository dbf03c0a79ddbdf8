"""What every page of a workspace shows around its content."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from accounts import banners
from accounts.models import Member, User
from accounts.roles import Action
from crosswire.lib import mail


class Entry(NamedTuple):
    """A place in a workspace's navigation: `name` of its address, and who sees it."""

    title: str
    name: str
    action: Action = Action.VIEW


NAVIGATION = (
    Entry("Overview", "overview"),
    Entry("Channels", "channels"),
    Entry("Search", "search"),
    Entry("Shared data", "data"),
    Entry("Connect", "connect"),
    Entry("Keys", "keys"),
    Entry("Members", "members"),
    Entry("Billing", "billing"),
    Entry("Audit log", "audit", Action.VIEW_AUDIT),
    Entry("Settings", "workspace_settings", Action.CHANGE_SETTINGS),
)


ACCOUNT_NAVIGATION = (
    ("Profile", "account_profile"),
    ("Email", "account_email"),
    ("Password", "account_change_password"),
    ("Two-factor and passkeys", "mfa_index"),
    ("Sessions", "usersessions_list"),
    ("Linked accounts", "socialaccount_connections"),
    ("Workspaces", "account_workspaces"),
    ("Delete account", "account_delete"),
)


def page(request: HttpRequest) -> dict[str, Any]:
    """Return `here` and its navigation inside a workspace, and a signed-in person's workspaces."""
    shown: dict[str, Any] = {"public_url": settings.PUBLIC_URL, "mail_folder": mail.printed_to()}
    if isinstance(request.user, User):
        shown["account_navigation"] = partial(_account_navigation, request.path)
        shown["memberships"] = Member.objects.filter(user=request.user).select_related("workspace").order_by("pk")
    if (here := getattr(request, "here", None)) is not None:
        shown["here"] = here
        shown["banners"] = partial(banners.shown, here)
        shown["navigation"] = [
            {"title": each.title, "url": url, "is_current": _is_current(request.path, url, each.name)}
            for each in NAVIGATION
            if here.may(each.action) and (url := address(each.name, here.workspace.slug))
        ]
    return shown


def _account_navigation(path: str) -> list[dict[str, Any]]:
    places = [(title, url) for title, name in ACCOUNT_NAVIGATION if (url := address(name))]
    # Setting a first password stands where changing it will; the profile's address begins the others of /account/.
    path = path.replace("/password/set/", "/password/change/")
    return [
        {"title": title, "url": url, "is_current": path == url or (title != "Profile" and path.startswith(url))}
        for title, url in places
    ]


def address(name: str, *parts: str) -> str:
    """Return the address of a page, "" while there is no such page."""
    try:
        return reverse(name, args=parts)
    except NoReverseMatch:
        return ""


def _is_current(path: str, url: str, name: str) -> bool:
    return path == url if name == "overview" else path.startswith(url)
