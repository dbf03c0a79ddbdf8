"""`{% load roles %}{% roles_table %}`: who may do what, as the pages and the documentation show it."""

from __future__ import annotations

from typing import Any

from django import template

from accounts import roles
from accounts.models import Member

register = template.Library()


@register.inclusion_tag("accounts/_roles.html")
def roles_table() -> dict[str, Any]:
    """Show the table of roles and actions, as it is in force."""
    return {"roles": Member.Role.labels, "rows": roles.table()}
