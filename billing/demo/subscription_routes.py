"""What the API offers on subscriptions: begin, change, end; and the end of a customer."""

from __future__ import annotations

from billing.demo import collecting, customers, prorations
from billing.demo.errors import invalid, missing
from billing.demo.forms import Spec, flag, listed, mapping, merged, need, one_of, text, whole, whole_or_empty
from billing.demo.routes import Route, copied, listing, retrieving
from billing.demo.subscriptions import ENDED, ITEM, PRORATIONS, begin, bill, change_items, new, period_of, refused
from billing.demo.world import Object, World

CANCELLATION: Spec = {
    "comment": text,
    "feedback": one_of(
        "customer_service",
        "low_quality",
        "missing_features",
        "other",
        "switched_service",
        "too_complex",
        "too_expensive",
        "unused",
    ),
}
BOTH: Spec = {
    "cancel_at": whole_or_empty,
    "cancel_at_period_end": flag,
    "collection_method": one_of("charge_automatically"),
    "default_payment_method": text,
    "description": text,
    "items": listed(ITEM),
    "metadata": mapping,
    "off_session": flag,
    "payment_behavior": one_of(
        "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"
    ),
    "payment_settings": {"save_default_payment_method": one_of("off", "on_subscription")},
    "proration_behavior": PRORATIONS,
}
UPDATE: Spec = {
    **BOTH,
    "billing_cycle_anchor": one_of("now", "unchanged"),
    "cancellation_details": CANCELLATION,
    "proration_date": whole,
}


def create(world: World, given: Object) -> Object:
    """Begin a subscription without Checkout."""
    need(given, "customer", "items")
    customer = customers.living(world, given["customer"])
    behavior = given.get("payment_behavior", "allow_incomplete")
    subscription = new(world, customer, given["items"])
    _fill(world, subscription, given)
    invoice = begin(world, subscription)
    if behavior == "default_incomplete" and invoice["amount_due"]:
        return subscription
    if not collecting.collect(world, invoice) and behavior == "error_if_incomplete":
        raise refused(world, invoice)
    return subscription


def _fill(world: World, subscription: Object, given: Object) -> None:
    copied(subscription, given, "description")
    if method := given.get("default_payment_method"):
        customers.owned(world, method, subscription["customer"], "default_payment_method")
        subscription["default_payment_method"] = method
    subscription["metadata"] = merged(subscription["metadata"], given.get("metadata"))
    subscription["payment_settings"].update(given.get("payment_settings", {}))
    subscription["cancellation_details"].update(given.get("cancellation_details", {}))
    if "cancel_at_period_end" in given or "cancel_at" in given:
        _plan_end(world, subscription, given)


def _plan_end(world: World, subscription: Object, given: Object) -> None:
    """Have it end later, or no longer."""
    if given.get("cancel_at_period_end") and given.get("cancel_at"):
        raise invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
    if schedule := subscription["schedule"]:
        raise invalid(
            f"The subscription is managed by the subscription schedule `{schedule}`, and updating any cancelation "
            "behavior directly is not allowed. Please update the schedule instead."
        )
    at = period_of(subscription)[1] if given.get("cancel_at_period_end") else given.get("cancel_at")
    if at is not None and at <= world.now():
        raise invalid("The cancel_at timestamp must be in the future.", "cancel_at")
    subscription.update(
        cancel_at_period_end=bool(given.get("cancel_at_period_end")),
        cancel_at=at,
        canceled_at=world.now() if at else None,
    )
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if at else None


def update(world: World, given: Object, identifier: str) -> Object:
    """Change a subscription: its end, its card, its price."""
    subscription = world.get("subscription", identifier)
    if subscription["status"] in ENDED and set(given) - {"metadata", "cancellation_details"}:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    with world.changing(subscription, "customer.subscription.updated"):
        _fill(world, subscription, given)
    if given.get("items"):
        change_items(world, subscription, given)
    return subscription


def cancel(world: World, given: Object, identifier: str) -> Object:
    """End a subscription now."""
    subscription = world.get("subscription", identifier)
    if subscription["status"] in ENDED:
        raise missing("subscription", identifier)
    subscription["cancellation_details"].update(given.get("cancellation_details", {}))
    if given.get("prorate"):
        prorations.keep_pending(world, subscription, prorations.unused(world, subscription, world.now()))
    if given.get("invoice_now") or given.get("prorate"):
        now = world.now()
        invoice = bill(world, subscription, "manual", [], (now, now))
        collecting.collect(world, invoice)
    return collecting.end(world, subscription, "cancellation_requested")


def delete_customer(world: World, given: Object, identifier: str) -> Object:
    """Delete a customer for good; what is subscribed ends now."""
    customer = customers.living(world, identifier, is_address=True)
    for subscription in world.all("subscription"):
        if subscription["customer"] == identifier and subscription["status"] not in ENDED:
            collecting.end(world, subscription, "cancellation_requested")
    for method in world.all("payment_method"):
        if method["customer"] == identifier:
            customers.detach_payment_method(world, {}, method["id"])
    world.emit("customer.deleted", customer)
    return world.add({"id": identifier, "object": "customer", "deleted": True})


def _is_wanted(subscription: Object, given: Object) -> bool:
    status = given.get("status")
    if status is None:
        is_status = subscription["status"] not in ENDED
    elif status == "ended":
        is_status = subscription["status"] in ENDED
    else:
        is_status = status in ("all", subscription["status"])
    prices = [item["price"] for item in subscription["items"]["data"]]
    return (
        is_status
        and given.get("customer") in (None, subscription["customer"])
        and (given.get("price") is None or given["price"] in prices)
    )


ROUTES = [
    Route("DELETE", "/v1/customers/{id}", delete_customer),
    Route("POST", "/v1/subscriptions", create, {**BOTH, "customer": text}),
    listing("subscription", "/v1/subscriptions", {"customer": text, "price": text, "status": text}, _is_wanted),
    retrieving("subscription", "/v1/subscriptions"),
    Route("POST", "/v1/subscriptions/{id}", update, UPDATE),
    Route(
        "DELETE",
        "/v1/subscriptions/{id}",
        cancel,
        {"cancellation_details": CANCELLATION, "invoice_now": flag, "prorate": flag},
    ),
]
