"""Changes of a subscription that wait to be paid: made once they are, given up after 23 hours, or with their invoice or
the period.

What may be changed so, and what becomes of it, is Stripe's "pending updates reference".
"""

from __future__ import annotations

import copy

from billing.demo.errors import invalid
from billing.demo.world import Object, World

SECONDS = 23 * 3_600
ALLOWED = {"items", "payment_behavior", "proration_behavior", "proration_date", "billing_cycle_anchor"}


def require_alone(given: Object) -> None:
    """Raises: ApiError for a change beside it that could not wait."""
    for name in sorted(set(given) - ALLOWED):
        raise invalid(f"`{name}` may not be passed when `payment_behavior` is `pending_if_incomplete`.", name)


def require_none(subscription: Object) -> None:
    """Raises: ApiError while another change waits, which Stripe would replace."""
    if subscription["pending_update"]:
        raise invalid("Demo payments keep one pending update a subscription: void its invoice first.")


def changeable(subscription: Object) -> Object:
    """Return a copy of what a change of the items changes."""
    return copy.deepcopy({"items": subscription["items"], "billing_cycle_anchor": subscription["billing_cycle_anchor"]})


def put_off(world: World, subscription: Object, before: Object) -> None:
    """Put back what was before a change, and keep the change until it is paid."""
    wanted = changeable(subscription)
    subscription.update(before)
    subscription.update(_wanted=wanted, _update_invoice="")
    subscription["pending_update"] = {
        "billing_cycle_anchor": None,
        "cancel_at_period_end": None,
        "discount": None,
        "discounts": None,
        "expires_at": min(world.now() + SECONDS, before["items"]["data"][0]["current_period_end"]),
        "metadata": None,
        "subscription_items": copy.deepcopy(wanted["items"]["data"]),
        "trial_end": None,
        "trial_from_plan": None,
    }


def is_for(subscription: Object, invoice: Object) -> bool:
    """Whether an invoice is that of the change that waits."""
    return bool(subscription["pending_update"]) and subscription["_update_invoice"] == invoice["id"]


def invoice_of(world: World, subscription: Object) -> Object:
    """Return the invoice of the change that waits."""
    return world.get("invoice", subscription["_update_invoice"])


def apply(world: World, subscription: Object) -> None:
    """Make the change, now that it is paid."""
    with world.changing(subscription, "customer.subscription.pending_update_applied"):
        subscription.update(subscription.pop("_wanted"), pending_update=None)
    world.emit("customer.subscription.updated", subscription)


def drop(world: World, invoice: Object) -> None:
    """Give up the change that a voided invoice was for, if it was for one."""
    for subscription in world.all("subscription"):
        if is_for(subscription, invoice):
            with world.changing(subscription, "customer.subscription.pending_update_expired"):
                subscription["pending_update"] = None
                subscription.pop("_wanted", None)
            world.emit("customer.subscription.updated", subscription)
