"""Every address of the console, and what it asks of whoever opens it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.urls import URLResolver, reverse

from accounts.models import ApiKey
from tests.support.people import Person

LISTS = (
    "accounts_workspace",
    "accounts_user",
    "accounts_auditevent",
    "accounts_prunerun",
    "billing_subscription",
    "billing_stripeevent",
    "billing_reconciliation",
)


def names(patterns: Any = None) -> Iterator[tuple[str, str]]:
    """Return name and route of every address of the console."""
    for each in admin.site.urls[0] if patterns is None else patterns:
        if isinstance(each, URLResolver):
            yield from names(each.url_patterns)
        elif each.name:
            yield each.name, str(each.pattern)


def addresses(person: Person) -> dict[str, str]:
    """Return every address of the console, about a person and their workspace."""
    found = {}
    for name, route in names():
        named: dict[str, int] = {}
        if "<int:pk>" in route:
            named["pk"] = person.user.pk if name.startswith("accounts_user") else person.workspace.pk
        if "<int:key>" in route:
            named["key"] = ApiKey.objects.filter(workspace=person.workspace).latest("pk").pk
        found[name] = reverse(f"admin:{name}", kwargs=named)
    return found


ELSEWHERE = {"login", "logout", "password_change"}
"""They send a person on to where everybody goes."""
READ = {"index", *(f"{each}_changelist" for each in LISTS), "accounts_workspace_change", "accounts_user_change"}
DEEDS = {
    "accounts_workspace_plan": "workspaces",
    "accounts_workspace_overrides": "workspaces",
    "accounts_workspace_suspend": "workspaces",
    "accounts_workspace_resume": "workspaces",
    "accounts_workspace_close": "workspaces",
    "accounts_workspace_key_revoke": "workspaces",
    "accounts_user_deactivate": "people",
    "accounts_user_reactivate": "people",
    "accounts_user_operator": "superuser",
    "accounts_user_unmake_operator": "superuser",
}
"""Who may do what: a right of accounts/operators.py, or superusers alone."""
