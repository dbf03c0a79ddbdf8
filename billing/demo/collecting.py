"""Collecting invoices: attempts, retries, and what they mean for the subscription."""

from __future__ import annotations

from billing.demo import invoices, pending
from billing.demo.errors import ApiError, declined, needs_action
from billing.demo.payments import NEEDS_ACTION
from billing.demo.world import DAY, Object, World

RETRY_DAYS = (3, 5, 7)
"""How many days after a failed attempt the next one is made; after the last one collecting ends."""
AFTER_LAST_RETRY = ("cancel", "unpaid", "past_due")


def method_for(world: World, subscription: Object) -> Object | None:
    """Return the card a subscription is paid with: its own, else the customer's; None when there is none."""
    customer = world.get("customer", subscription["customer"])
    chosen = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    return world.find("payment_method", chosen)


def collect(
    world: World,
    invoice: Object,
    method: Object | None = None,
    *,
    is_scheduled: bool = False,
    is_present: bool = False,
) -> bool:
    """Try to have an open invoice paid and let the subscription follow; return whether it is paid.

    `is_present`: who pays is in front of the page.
    """
    subscription = world.get("subscription", invoices.subscription_of(invoice) or "")
    with world.changing(invoice, "invoice.updated"):
        is_paid = invoices.attempt(world, invoice, method or method_for(world, subscription), is_present=is_present)
        if not is_paid and not pending.is_for(subscription, invoice):
            _plan_retry(world, subscription, invoice, is_scheduled=is_scheduled)
    if is_paid:
        world.emit("invoice.paid", invoice)
        world.emit("invoice.payment_succeeded", invoice)
        _recovered(world, subscription, invoice)
        return True
    world.emit("invoice.payment_failed", invoice)
    if _needs_action(world, invoice):
        world.emit("invoice.payment_action_required", invoice)
    _failed(world, subscription, invoice, is_last=is_scheduled and invoice["next_payment_attempt"] is None)
    return False


def _plan_retry(world: World, subscription: Object, invoice: Object, *, is_scheduled: bool) -> None:
    """Set the time of the next attempt; the very first invoice of a subscription is not tried again."""
    if subscription["status"] == "incomplete":
        return
    retries = invoice["_retries"] = invoice.get("_retries", 0) + is_scheduled
    if is_scheduled or invoice["next_payment_attempt"] is None:
        is_over = retries >= len(RETRY_DAYS)
        invoice["next_payment_attempt"] = None if is_over else world.now() + RETRY_DAYS[retries] * DAY


def _recovered(world: World, subscription: Object, invoice: Object) -> None:
    set_delinquent(world, invoice)
    if pending.is_for(subscription, invoice):
        pending.apply(world, subscription)
        return
    first = subscription["status"] == "incomplete" and invoice["id"] == subscription["latest_invoice"]
    still_owed = invoices.of_subscription(world, subscription["id"], "open")
    late = subscription["status"] in ("past_due", "unpaid") and not still_owed
    if first or late:
        with world.changing(subscription, "customer.subscription.updated"):
            subscription["status"] = "active"


def _failed(world: World, subscription: Object, invoice: Object, *, is_last: bool) -> None:
    if pending.is_for(subscription, invoice):
        return  # it goes on as it was, whether or not the change comes
    set_delinquent(world, invoice)
    if subscription["status"] == "active":
        with world.changing(subscription, "customer.subscription.updated"):
            subscription["status"] = "past_due"
    if is_last and subscription["status"] != "incomplete":
        _after_last_retry(world, subscription)


def _after_last_retry(world: World, subscription: Object) -> None:
    wanted = world.data["modes"]["after_last_retry"]
    if wanted == "cancel":
        end(world, subscription, "payment_failed")
    elif wanted == "unpaid":
        with world.changing(subscription, "customer.subscription.updated"):
            subscription["status"] = "unpaid"


def set_delinquent(world: World, invoice: Object) -> None:
    """Note on the customer whether an invoice is overdue."""
    customer = world.get("customer", invoice["customer"])
    if customer.get("deleted"):
        return
    open_ones = [each for each in world.all("invoice") if each["customer"] == customer["id"]]
    with world.changing(customer, "customer.updated"):
        customer["delinquent"] = any(each["status"] == "open" and each["attempted"] for each in open_ones)


def end(world: World, subscription: Object, reason: str | None) -> Object:
    """End a subscription for good; what it still owes is collected no longer."""
    now = world.now()
    schedule = world.find("subscription_schedule", subscription["schedule"])
    if schedule and schedule["status"] in ("active", "not_started"):
        schedule.update(status="canceled", canceled_at=now, current_phase=None)
        world.emit("subscription_schedule.canceled", schedule)
    details = subscription["cancellation_details"]
    details["reason"] = reason or details["reason"]
    was_incomplete = subscription["status"] == "incomplete"
    subscription.update(
        status="incomplete_expired" if was_incomplete else "canceled",
        canceled_at=subscription["canceled_at"] or now,
        ended_at=now,
        schedule=None,
        pending_update=None,
    )
    world.touch()
    for invoice in invoices.of_subscription(world, subscription["id"], "open", "draft"):
        with world.changing(invoice, "invoice.updated"):
            invoice.update(auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None)
        if was_incomplete:
            invoices.give_up(world, invoice, "void")
    world.emit(
        "customer.subscription.updated" if was_incomplete else "customer.subscription.deleted",
        subscription,
        {"status": "incomplete"} if was_incomplete else None,
    )
    return subscription


def refusal(world: World, invoice: Object, whose: str = "subscription") -> ApiError:
    """Return the refusal that says why the last attempt to pay an invoice failed."""
    if _needs_action(world, invoice):
        return needs_action(f"{whose}_payment_intent_requires_action")
    problem: Object = (invoices.intent_of(world, invoice) or {}).get("last_payment_error") or {}
    return declined("card_declined", problem.get("decline_code", ""), problem.get("message", ""))


def _needs_action(world: World, invoice: Object) -> bool:
    return (invoices.intent_of(world, invoice) or {}).get("status") == NEEDS_ACTION
