"""Invoices to come, worked out on copies: nothing is kept."""

from __future__ import annotations

import copy

from billing.demo import invoices, prorations, schedules, subscriptions
from billing.demo.errors import ApiError, invalid
from billing.demo.forms import Spec, flag, listed, one_of, text, whole
from billing.demo.periods import end_after
from billing.demo.world import Object, World, new_id

PREVIEW: Spec = {
    "customer": text,
    "preview_mode": one_of("next"),
    "schedule": text,
    "subscription": text,
    "subscription_details": {
        "billing_cycle_anchor": one_of("now", "unchanged"),
        "cancel_at_period_end": flag,
        "items": listed(subscriptions.ITEM),
        "proration_behavior": subscriptions.PRORATIONS,
        "proration_date": whole,
    },
}


def create_preview(world: World, given: Object) -> Object:
    """Return the invoice that would come next, after a change as well."""
    subscription = copy.deepcopy(_subscription(world, given))
    details = given.get("subscription_details", {})
    if "cancel_at_period_end" in details:
        subscription["cancel_at"] = (
            subscriptions.period_of(subscription)[1] if details["cancel_at_period_end"] else None
        )
    if subscription["status"] not in ("active", "past_due") or (subscription["cancel_at"] and not details.get("items")):
        raise ApiError(
            404,
            "invalid_request_error",
            f"No upcoming invoices for customer: {subscription['customer']}",
            code="invoice_upcoming_none",
        )
    lines: list[Object] = []
    if details.get("items"):
        at = prorations.date(world, subscription, details, "subscription_details[proration_date]")
        change = prorations.Change(
            details.get("proration_behavior", "create_prorations"),
            at,
            is_anchored_now=details.get("billing_cycle_anchor") == "now",
        )
        lines, is_due = prorations.apply(world, subscription, details["items"], change)
        if is_due:
            lines = [*_pending(subscription), *lines]
            return _dated(_upcoming(world, subscription, lines, (at, at), at), at)
        return _dated(renewal(world, subscription, lines), at)
    return renewal(world, subscription, lines)


def _dated(invoice: Object, at: int) -> Object:
    """Say for which time a change was worked out."""
    invoice["parent"]["subscription_details"]["subscription_proration_date"] = at
    return invoice


def _subscription(world: World, given: Object) -> Object:
    if given.get("subscription"):
        return world.named("subscription", given["subscription"], "subscription")
    if given.get("schedule"):
        schedule = world.named("subscription_schedule", given["schedule"], "schedule")
        return world.named("subscription", schedule["subscription"] or "", "schedule")
    living = [
        each
        for each in world.all("subscription")
        if each["customer"] == given.get("customer") and each["status"] in ("active", "past_due")
    ]
    if not living:
        raise invalid("Name a subscription, a schedule, or a customer that has a subscription.", "subscription")
    return min(living, key=lambda each: subscriptions.period_of(each)[1])


def _pending(subscription: Object) -> list[Object]:
    return copy.deepcopy(subscription.get("_pending", []))


def renewal(world: World, subscription: Object, more: list[Object] | None = None) -> Object:
    """Return the invoice of the next period as it would be now, with a scheduled price put in."""
    subscription = copy.deepcopy(subscription)
    start, end = subscriptions.period_of(subscription)
    schedule = schedules.of(world, subscription)
    if schedule and schedule["current_phase"] and schedule["current_phase"]["end_date"] == end:
        phase = schedules.following(schedule)
        for item, wanted in zip(subscription["items"]["data"], phase["items"] if phase else [], strict=False):
            item.update(price=wanted["price"], quantity=wanted["quantity"])
    for item in subscription["items"]["data"]:
        recurring = world.get("price", item["price"])["recurring"]
        item["current_period_start"] = end
        item["current_period_end"] = end_after(end, recurring["interval"], recurring["interval_count"], end)
    lines = [*_pending(subscription), *(more or []), *subscriptions.period_lines(world, subscription)]
    return _upcoming(world, subscription, lines, (start, end), end)


def _upcoming(world: World, subscription: Object, lines: list[Object], period: tuple[int, int], at: int) -> Object:
    with world.at(at):
        invoice = invoices.draft(world, subscription, "upcoming", lines, period)
    invoice["id"] = new_id("upcoming_in")
    for line in invoice["lines"]["data"]:
        line["invoice"] = invoice["id"]
    invoice["lines"]["url"] = f"/v1/invoices/{invoice['id']}/lines"
    invoice.update(
        auto_advance=False,
        automatically_finalizes_at=None,
        next_payment_attempt=at + invoices.DRAFT_SECONDS,
        ending_balance=min(0, invoice["starting_balance"] + invoice["total"]),
        webhooks_delivered_at=None,
    )
    return invoice
