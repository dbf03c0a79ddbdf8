"""How pages write what Stripe said: `{% load money %}`, then `{{ invoice.total|money:invoice.currency }}`."""

from __future__ import annotations

from django import template

from billing import history

register = template.Library()


@register.filter
def safe_url(url: str) -> str:
    """Return an address if a browser may be led there, else "": whatever stands in our tables came from elsewhere."""
    return url if url.startswith(("https://", "http://")) else ""


@register.filter
def money(cents: int, currency: str = "usd") -> str:
    """Return an amount in cents as people write it: `$9.00`."""
    return history.money(cents, currency)
