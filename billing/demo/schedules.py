"""Subscription schedules: phases that follow each other, as a downgrade at the period's end needs."""

from __future__ import annotations

from billing.demo import collecting, prorations, subscriptions
from billing.demo.errors import invalid
from billing.demo.forms import Spec, flag, listed, mapping, merged, need, one_of, text, whole, whole_or_now
from billing.demo.periods import end_after
from billing.demo.routes import Route, copied, listing, retrieving, same
from billing.demo.world import Object, World, new_id

PHASE: Spec = {
    "duration": {"interval": one_of("day", "week", "month", "year"), "interval_count": whole},
    "end_date": whole_or_now,
    "items": listed({"price": text, "quantity": whole, "metadata": mapping}),
    "metadata": mapping,
    "proration_behavior": subscriptions.PRORATIONS,
    "start_date": whole_or_now,
}
UPDATE: Spec = {
    "end_behavior": one_of("cancel", "release"),
    "metadata": mapping,
    "phases": listed(PHASE),
}


def create(world: World, given: Object) -> Object:
    """Put a subscription under a schedule whose only phase is its current period."""
    need(given, "from_subscription")
    if "phases" in given:
        raise invalid("You cannot set `phases` if `from_subscription` is set.", "phases")
    subscription = world.named("subscription", given["from_subscription"], "from_subscription")
    if subscription["schedule"]:
        raise invalid(
            f"You cannot migrate a subscription that is already attached to a schedule: {subscription['schedule']}.",
            "from_subscription",
        )
    if subscription["status"] not in ("active", "past_due") or subscription["cancel_at"]:
        raise invalid("You cannot migrate a subscription that has ended or is set to cancel.", "from_subscription")
    schedule = world.add(_blank(world, subscription), "subscription_schedule.created")
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["schedule"] = schedule["id"]
    return schedule


def _blank(world: World, subscription: Object) -> Object:
    start, end = subscriptions.period_of(subscription)
    items = [{"price": item["price"], "quantity": item["quantity"]} for item in subscription["items"]["data"]]
    return {
        "id": new_id("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": dict(subscription["billing_mode"]),
        "canceled_at": None,
        "completed_at": None,
        "created": world.now(),
        "current_phase": {"end_date": end, "start_date": start},
        "customer": subscription["customer"],
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": None,
            "collection_method": "charge_automatically",
            "default_payment_method": None,
            "description": None,
            "invoice_settings": {
                "account_tax_ids": None,
                "custom_fields": None,
                "days_until_due": None,
                "description": None,
                "footer": None,
                "issuer": {"type": "self"},
            },
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "pause_schedules": [],
        "phases": [_phase(world, {"items": items, "metadata": dict(subscription["metadata"])}, start, end)],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": None,
    }


def _phase(world: World, given: Object, start: int, end: int) -> Object:
    items = [_phase_item(world, item, place) for place, item in enumerate(given["items"])]
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": world.get("price", items[0]["price"])["currency"],
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "end_date": end,
        "invoice_settings": None,
        "items": items,
        "metadata": merged({}, given.get("metadata")),
        "on_behalf_of": None,
        "proration_behavior": given.get("proration_behavior", "create_prorations"),
        "start_date": start,
        "transfer_data": None,
        "trial_end": None,
    }


def _phase_item(world: World, given: Object, place: int) -> Object:
    need(given, "price")
    price = world.named("price", given["price"], f"phases[items][{place}][price]")
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": merged({}, given.get("metadata")),
        "plan": price["id"],
        "price": price["id"],
        "quantity": given.get("quantity", 1),
        "tax_rates": [],
    }


def update(world: World, given: Object, identifier: str) -> Object:
    """Change what is to come; the current phase stays as it is."""
    schedule = _active(world, identifier)
    with world.changing(schedule, "subscription_schedule.updated"):
        copied(schedule, given, "end_behavior")
        schedule["metadata"] = merged(schedule["metadata"], given.get("metadata"))
        if "phases" in given:
            schedule["phases"] = _phases(world, schedule, given["phases"])
            schedule["current_phase"]["end_date"] = _current(schedule)["end_date"]
    return schedule


def _active(world: World, identifier: str) -> Object:
    schedule = world.get("subscription_schedule", identifier)
    if schedule["status"] != "active":
        raise invalid(
            f"You cannot update a subscription schedule that is currently in the `{schedule['status']}` status. It "
            "must be in `active` or `not_started`."
        )
    return schedule


def _phases(world: World, schedule: Object, given: list[Object]) -> list[Object]:
    """Return the new phases, which begin with the current one and follow each other without a gap. Raises: ApiError."""
    current = _current(schedule)
    made: list[Object] = []
    for place, phase in enumerate(given):
        need(phase, "items")
        start: int = made[-1]["end_date"] if made else current["start_date"]
        if phase.get("start_date", start) != start:
            raise invalid("The phases must follow each other without a gap.", f"phases[{place}][start_date]")
        made.append(_phase(world, phase, start, _end_date(world, phase, start)))
    if not made or _wanted(made[0]) != _wanted(current):
        raise invalid("Demo payments change the prices of phases to come alone.", "phases[0][items]")
    if made[0]["end_date"] <= world.now():
        raise invalid("The current phase must end in the future.", "phases[0][end_date]")
    return made


def _wanted(phase: Object) -> list[tuple[str, int]]:
    return [(item["price"], item["quantity"]) for item in phase["items"]]


def _end_date(world: World, phase: Object, start: int) -> int:
    end = phase.get("end_date")
    if isinstance(end, int):
        if end <= start:
            raise invalid("The end_date of a phase must be after its start.", "phases[end_date]")
        return end
    if end == "now":
        return world.now()
    recurring = world.named("price", phase["items"][0].get("price", ""), "phases[items][0][price]")["recurring"]
    length = {**recurring, **phase.get("duration", {})}
    return end_after(start, length["interval"], length["interval_count"], start)


def _current(schedule: Object) -> Object:
    start = schedule["current_phase"]["start_date"]
    found: Object = next(phase for phase in schedule["phases"] if phase["start_date"] == start)
    return found


def release(world: World, given: Object, identifier: str) -> Object:
    """Let the subscription go on without the schedule."""
    schedule = _active(world, identifier)
    subscription = world.get("subscription", schedule["subscription"])
    _release(world, schedule, subscription)
    return schedule


def _release(world: World, schedule: Object, subscription: Object) -> None:
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["schedule"] = None
    schedule.update(
        status="released",
        released_at=world.now(),
        released_subscription=subscription["id"],
        subscription=None,
        current_phase=None,
    )
    world.touch()
    world.emit("subscription_schedule.released", schedule)


def cancel(world: World, given: Object, identifier: str) -> Object:
    """End the schedule and its subscription now."""
    schedule = _active(world, identifier)
    collecting.end(world, world.get("subscription", schedule["subscription"]), "cancellation_requested")
    return schedule


def of(world: World, subscription: Object) -> Object | None:
    """Return the schedule a subscription is under, None for none."""
    return world.find("subscription_schedule", subscription["schedule"])


def next_change(world: World, subscription: Object) -> int | None:
    """Return when the current phase of a subscription's schedule ends, None without one."""
    schedule = of(world, subscription)
    return schedule["current_phase"]["end_date"] if schedule and schedule["current_phase"] else None


def following(schedule: Object) -> Object | None:
    """Return the phase after the current one, None when there is none."""
    end = schedule["current_phase"]["end_date"]
    return next((phase for phase in schedule["phases"] if phase["start_date"] == end), None)


def move_on(world: World, subscription: Object) -> None:
    """End the current phase: begin the next one, or do what the schedule says of its end."""
    schedule = of(world, subscription)
    assert schedule is not None
    phase = following(schedule)
    if phase is None:
        if schedule["end_behavior"] == "cancel":
            schedule.update(status="completed", completed_at=world.now(), current_phase=None)
            world.emit("subscription_schedule.completed", schedule)
            collecting.end(world, subscription, None)
        else:
            _release(world, schedule, subscription)
        return
    with world.changing(schedule, "subscription_schedule.updated"):
        schedule["current_phase"] = {"end_date": phase["end_date"], "start_date": phase["start_date"]}
    if subscriptions.period_of(subscription)[1] == world.now():
        take_phase(world, subscription, phase)
        subscriptions.renew(world, subscription)
    else:
        subscriptions.change_items(world, subscription, _as_change(subscription, phase))


def _as_change(subscription: Object, phase: Object) -> Object:
    items = zip(subscription["items"]["data"], phase["items"], strict=True)
    return {
        "items": [{"id": item["id"], "price": to["price"], "quantity": to["quantity"]} for item, to in items],
        "proration_behavior": phase["proration_behavior"],
    }


def take_phase(world: World, subscription: Object, phase: Object) -> None:
    """Put a phase's prices into a subscription at the end of its period: nothing is left to be prorated."""
    with world.changing(subscription, "customer.subscription.updated"):
        for item, wanted in zip(subscription["items"]["data"], phase["items"], strict=True):
            old, new = (world.get("price", each["price"]) for each in (item, wanted))
            if prorations.cycle(old) != prorations.cycle(new):
                subscription["billing_cycle_anchor"] = item["current_period_end"]
            item.update(price=new["id"], quantity=wanted["quantity"])
        subscription["metadata"] = merged(subscription["metadata"], phase["metadata"])


ROUTES = [
    Route("POST", "/v1/subscription_schedules", create, {"from_subscription": text, **UPDATE}),
    listing(
        "subscription_schedule",
        "/v1/subscription_schedules",
        {"customer": text, "scheduled": flag},
        same("customer"),
    ),
    retrieving("subscription_schedule", "/v1/subscription_schedules"),
    Route(
        "POST",
        "/v1/subscription_schedules/{id}",
        update,
        {**UPDATE, "proration_behavior": subscriptions.PRORATIONS},
    ),
    Route("POST", "/v1/subscription_schedules/{id}/release", release, {"preserve_cancel_date": flag}),
    Route("POST", "/v1/subscription_schedules/{id}/cancel", cancel, {"invoice_now": flag, "prorate": flag}),
]
