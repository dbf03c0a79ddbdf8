"""Changing a subscription at Stripe: now, or when what is paid is used up (which takes a schedule)."""

from __future__ import annotations

from typing import Any, NamedTuple

from billing import gateway, reading
from billing.gateway import Answer, MissingError, RefusedError, StripeAwayError, ToConfirmError
from billing.models import Subscription
from billing.proposals import OutdatedError
from crosswire.lib.errors import CrossWireError


class Charged(NamedTuple):
    """What a change took, in cents. `to_confirm`: where the bank's confirmation is given; nothing changes before."""

    paid: int
    to_confirm: str = ""


def change_now(now: Subscription, price: str, at: int) -> Charged:
    """Change to a price at once, the old one counting up to a second of the running period: the difference is paid now,
    or nothing is changed. Where the bank wants a confirmation, the change waits for it, 23 hours at most.

    Raises: CrossWireError `payment_declined`; StripeAwayError.
    """
    drop(now)
    wanted: Any = {
        "items": [{"id": now.item_id, "price": price}],
        "proration_behavior": "always_invoice",
        "proration_date": at,
        "payment_behavior": "error_if_incomplete",
        "expand": ["latest_invoice"],
    }
    try:
        found = _updated(now, {**wanted, **_uncancelled(now)})
    except ToConfirmError:
        if now.scheduled_price_id:
            change_later(now, now.scheduled_price_id)  # as it was
        elif not _uncancelled(now):
            found = _updated(now, {**wanted, "payment_behavior": "pending_if_incomplete"})
            if found["pending_update"]:
                return Charged(0, str(found["latest_invoice"]["hosted_invoice_url"]))
            return _charged(found)
        raise
    except StripeAwayError:
        raise
    except CrossWireError:
        if now.scheduled_price_id:
            change_later(now, now.scheduled_price_id)  # as it was
        raise
    return _charged(found)


def _updated(now: Subscription, wanted: Any) -> Answer:
    return gateway.ask(lambda stripe: stripe.v1.subscriptions.update(now.stripe_id, wanted))


def _charged(found: Answer) -> Charged:
    return Charged(int((found.get("latest_invoice") or {}).get("amount_paid") or 0))


def change_later(now: Subscription, price: str) -> None:
    """Change to a price when the running period ends; nothing is paid back or asked for before. Raises: as `ask`."""
    keep(now)
    found = gateway.ask(lambda stripe: stripe.v1.subscriptions.retrieve(now.stripe_id, {"expand": ["schedule"]}))
    schedule = found.get("schedule") or gateway.ask(
        lambda stripe: stripe.v1.subscription_schedules.create({"from_subscription": now.stripe_id})
    )
    item = found["items"]["data"][0]
    running: Answer = next(each for each in schedule["phases"] if each["end_date"] > item["current_period_start"])
    wanted: Any = {
        "end_behavior": "release",
        "proration_behavior": "none",
        "phases": [
            {
                "start_date": running["start_date"],
                "end_date": item["current_period_end"],
                "items": [{"price": item["price"]["id"], "quantity": 1}],
                "proration_behavior": "none",
            },
            {
                "duration": {"interval": _interval(price), "interval_count": 1},
                "items": [{"price": price, "quantity": 1}],
                "proration_behavior": "none",
            },
        ],
    }
    gateway.ask(lambda stripe: stripe.v1.subscription_schedules.update(schedule["id"], wanted))


def drop(now: Subscription) -> None:
    """Drop the change that is planned, if one is. Raises: StripeAwayError."""
    found = gateway.ask(lambda stripe: stripe.v1.subscriptions.retrieve(now.stripe_id))
    schedule = reading.id_of(found.get("schedule"))
    if schedule:
        try:
            gateway.ask(lambda stripe: stripe.v1.subscription_schedules.release(schedule))
        except MissingError:
            return


def give_up(now: Subscription) -> None:
    """Give up the change that waits for a bank's confirmation, if one does.

    Raises: OutdatedError where the confirmation came just now; StripeAwayError.
    """
    if now.confirm_until is None:
        return
    try:
        gateway.ask(lambda stripe: stripe.v1.invoices.void_invoice(now.confirm_invoice))
    except RefusedError as refused:
        raise OutdatedError("Your bank has your confirmation just now.") from refused


def keep(now: Subscription) -> None:
    """Have a subscription go on that was to end with its period. Raises: StripeAwayError."""
    wanted = _uncancelled(now)
    if wanted:
        _updated(now, wanted)


def _uncancelled(now: Subscription) -> Any:
    if now.cancel_at_period_end:
        return {"cancel_at_period_end": False}
    return {"cancel_at": ""} if now.cancel_at else {}


def _interval(price: str) -> str:
    found = gateway.ask(lambda stripe: stripe.v1.prices.retrieve(price))
    return str(found["recurring"]["interval"])
