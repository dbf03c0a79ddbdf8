"""Subscriptions: begun, renewed, changed and ended."""

from __future__ import annotations

from billing.demo import collecting, invoices, pending, prorations
from billing.demo.errors import invalid
from billing.demo.forms import Spec, flag, mapping, merged, need, one_of, text, whole
from billing.demo.periods import end_after
from billing.demo.shapes import list_object
from billing.demo.world import Object, World, new_id

ENDED = ("canceled", "incomplete_expired")
INCOMPLETE_SECONDS = 23 * 3_600
"""How long the first payment may be made up for."""
PRORATIONS = one_of("always_invoice", "create_prorations", "none")
ITEM: Spec = {"id": text, "price": text, "quantity": whole, "deleted": flag, "metadata": mapping}


def new(world: World, customer: Object, items: list[Object], **more: object) -> Object:
    """Return a new subscription, kept, `incomplete` until its first invoice is paid. `more`: fields of it."""
    now = world.now()
    identifier = new_id("sub")
    made = [_new_item(world, identifier, each, now) for each in items]
    currency = world.get("price", made[0]["price"])["currency"]
    subscription: Object = {
        "id": identifier,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": list_object(f"/v1/subscription_items?subscription={identifier}", made),
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
        **more,
    }
    return world.add(subscription, "customer.subscription.created")


def _new_item(world: World, subscription: str, given: Object, now: int) -> Object:
    need(given, "price")
    price = recurring_price(world, given["price"])
    recurring = price["recurring"]
    return {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": now,
        "current_period_end": end_after(now, recurring["interval"], recurring["interval_count"], now),
        "current_period_start": now,
        "discounts": [],
        "metadata": merged({}, given.get("metadata")),
        "price": price["id"],
        "quantity": given.get("quantity", 1),
        "subscription": subscription,
        "tax_rates": [],
    }


def recurring_price(world: World, identifier: str, param: str = "items[0][price]") -> Object:
    """Return a price that new subscriptions can have. Raises: ApiError."""
    price = world.named("price", identifier, param)
    if not price["recurring"]:
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts recurring ones.", param
        )
    if not price["active"]:
        raise invalid("The price specified is inactive. This field only accepts active prices.", param)
    return price


def period_lines(world: World, subscription: Object) -> list[Object]:
    """Return the lines that bill every item for its current period."""
    return [prorations.whole_period(world, subscription, item) for item in subscription["items"]["data"]]


def period_of(subscription: Object) -> tuple[int, int]:
    """Return when a subscription's current period began and ends."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def bill(world: World, subscription: Object, reason: str, lines: list[Object], period: tuple[int, int]) -> Object:
    """Make an invoice, with what is pending from earlier changes, and finalize it unless it is a renewal's."""
    lines = [*prorations.take_pending(world, subscription), *lines]
    invoice = world.add(invoices.draft(world, subscription, reason, lines, period), "invoice.created")
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["latest_invoice"] = invoice["id"]
    if reason != "subscription_cycle":
        invoices.finalize(world, invoice)
    return invoice


def begin(world: World, subscription: Object) -> Object:
    """Bill a new subscription for its first period; return the invoice, still open."""
    start, _ = period_of(subscription)
    return bill(world, subscription, "subscription_create", period_lines(world, subscription), (start, start))


def change_items(world: World, subscription: Object, given: Object) -> None:
    """Put other prices in, bill or credit the difference, and undo all when that is asked for and is not paid."""
    behavior = given.get("payment_behavior", "allow_incomplete")
    if behavior == "pending_if_incomplete":
        pending.require_alone(given)
    pending.require_none(subscription)
    change = prorations.Change(
        given.get("proration_behavior", "create_prorations"),
        prorations.date(world, subscription, given),
        is_anchored_now=given.get("billing_cycle_anchor") == "now",
    )
    before = pending.changeable(subscription)
    with world.changing(subscription, "customer.subscription.updated"):
        lines, is_due = prorations.apply(world, subscription, given["items"], change)
        if is_due and behavior == "pending_if_incomplete":
            pending.put_off(world, subscription, before)
    _tell_schedule(world, subscription)
    if not is_due:
        prorations.keep_pending(world, subscription, lines)
        return
    now = world.now()
    invoice = bill(world, subscription, "subscription_update", lines, (now, now))
    subscription["_update_invoice"] = invoice["id"]
    if not collecting.collect(world, invoice) and behavior == "error_if_incomplete":
        raise refused(world, invoice)


def _tell_schedule(world: World, subscription: Object) -> None:
    """Have the current phase of the subscription's schedule, if it has one, say what it costs now."""
    schedule = world.find("subscription_schedule", subscription["schedule"])
    if schedule is None or schedule["current_phase"] is None:
        return
    with world.changing(schedule, "subscription_schedule.updated"):
        for phase in schedule["phases"]:
            if phase["start_date"] == schedule["current_phase"]["start_date"]:
                for item, now in zip(phase["items"], subscription["items"]["data"], strict=True):
                    item.update(price=now["price"], plan=now["price"], quantity=now["quantity"])


def renew(world: World, subscription: Object) -> None:
    """Begin the next period and make its invoice, a draft for an hour."""
    with world.changing(subscription, "customer.subscription.updated"):
        for item in subscription["items"]["data"]:
            recurring = world.get("price", item["price"])["recurring"]
            start = item["current_period_end"]
            item["current_period_start"] = start
            item["current_period_end"] = end_after(
                subscription["billing_cycle_anchor"], recurring["interval"], recurring["interval_count"], start
            )
    start, _ = period_of(subscription)
    earlier = subscription.pop("_renewed_at", subscription["start_date"])
    subscription["_renewed_at"] = start
    invoice = bill(world, subscription, "subscription_cycle", period_lines(world, subscription), (earlier, start))
    if subscription["status"] == "unpaid":  # nothing more is collected until the old invoices are paid
        invoice.update(auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None)


def refused(world: World, invoice: Object) -> Exception:
    """Return the refusal that undoes everything because the payment did not come."""
    refusal = collecting.refusal(world, invoice)
    refusal.is_kept = False
    return refusal
