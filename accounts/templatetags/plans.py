"""`{% load plans %}`: the plan that an address is about."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from django import template

from accounts.plans import PLANS

register = template.Library()


@register.filter
def chosen_plan(address: object) -> str:
    """Return the title of the plan that somebody chose and comes to pay at this address, "" where none is."""
    try:
        parts = urlsplit(str(address or ""))
    except ValueError:
        return ""
    plan = PLANS.get(parse_qs(parts.query).get("plan", [""])[0])
    return plan.title if plan and plan.price_month and parts.path == "/billing" else ""
