"""Shapes that several kinds of objects share: lists, and the older object Plan."""

from __future__ import annotations

from typing import Any

type Object = dict[str, Any]


def plan_of(price: Object) -> Object:
    """Return a recurring price as the older object Plan, which items still carry."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def list_object(url: str, data: list[Object], *, has_more: bool = False) -> Object:
    """Return a list inside another object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}
