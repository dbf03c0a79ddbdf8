"""The customer portal's page: the plan, its end, the card, the invoices."""

from __future__ import annotations

from billing.demo import customers, pages, prorations, schedules, subscription_routes
from billing.demo.api import Answer, Request
from billing.demo.errors import ApiError, invalid, missing
from billing.demo.world import Object, World


def answer(world: World, request: Request, form: Object, secret: str) -> Answer:
    """Answer a request for the portal of a session, which its secret names."""
    with world.lock:
        session = next((each for each in world.all("billing_portal.session") if each["_secret"] == secret), None)
        if session is None:
            raise missing("billing_portal.session", secret)
        problem = ""
        if request.method == "POST":
            try:
                with world.transaction():
                    _act(world, session, form)
                return pages.redirect(_next_address(session))
            except ApiError as refusal:
                problem = str(refusal)
        return _portal_page(world, world.get("billing_portal.session", session["id"]), problem)


def _next_address(session: Object) -> str:
    """Return where a done deed leads: back to the portal, or where the session's flow says."""
    redirect = (session["flow"] or {}).get("after_completion", {}).get("redirect")
    return str(redirect["return_url"] if redirect else session["url"])


def _features(world: World, session: Object) -> Object:
    features: Object = world.get("billing_portal.configuration", session["configuration"])["features"]
    return features


def _act(world: World, session: Object, form: Object) -> None:
    """Do what a button of the portal says. Raises: ApiError."""
    customer = customers.living(world, session["customer"])
    features = _features(world, session)
    if form.get("do") == "card" and features["payment_method_update"]["enabled"]:
        _change_card(world, customer, form)
        return
    subscription = world.get("subscription", str(form.get("subscription")))
    if subscription["customer"] != customer["id"]:
        raise missing("subscription", subscription["id"])
    match form.get("do"):
        case "cancel" | "resume" as action if features["subscription_cancel"]["enabled"]:
            _end(world, subscription, features["subscription_cancel"]["mode"], is_ending=action == "cancel")
        case "switch" if form.get("price") in _prices(features):
            _switch(world, subscription, str(form["price"]), features["subscription_update"]["proration_behavior"])
        case _:
            raise invalid("The portal does not offer that.")


def _end(world: World, subscription: Object, mode: str, *, is_ending: bool) -> None:
    if is_ending and mode == "immediately":
        subscription_routes.cancel(world, {}, subscription["id"])
        return
    _release_schedule(world, subscription)
    subscription_routes.update(world, {"cancel_at_period_end": is_ending}, subscription["id"])


def _prices(features: Object) -> list[str]:
    """Return the prices that the portal offers to change to."""
    wanted = features["subscription_update"]
    return [price for each in wanted["products"] for price in each["prices"]] if wanted["enabled"] else []


def _switch(world: World, subscription: Object, price: str, proration_behavior: str) -> None:
    item = subscription["items"]["data"][0]
    change = {"items": [{"id": item["id"], "price": price}], "proration_behavior": proration_behavior}
    subscription_routes.update(world, {**change, "payment_behavior": "error_if_incomplete"}, subscription["id"])


def _release_schedule(world: World, subscription: Object) -> None:
    if subscription["schedule"]:
        schedules.release(world, {}, subscription["schedule"])


def _change_card(world: World, customer: Object, form: Object) -> None:
    """Take a new card for everything the customer pays."""
    number, expiry = pages.card_in(world, form)
    details = {"email": customer["email"], "name": str(form.get("name", "")) or customer["name"]}
    method = customers.new_payment_method(world, number, details=details, **expiry)
    customers.attach(world, method, customer)
    with world.changing(customer, "customer.updated"):
        customer["invoice_settings"]["default_payment_method"] = method["id"]
    for subscription in world.all("subscription"):
        if subscription["customer"] == customer["id"] and not subscription["ended_at"]:
            with world.changing(subscription, "customer.subscription.updated"):
                subscription["default_payment_method"] = method["id"]


def _portal_page(world: World, session: Object, problem: str) -> Answer:
    customer = customers.living(world, session["customer"])
    flow = session["flow"] or {"type": ""}
    features = _features(world, session)
    mine = [each for each in world.all("subscription") if each["customer"] == customer["id"] and not each["ended_at"]]
    bills = [each for each in reversed(world.all("invoice")) if each["customer"] == customer["id"]]
    context = {
        "customer": customer,
        "subscriptions": [_shown_subscription(world, each, _prices(features)) for each in mine],
        "invoices": [pages.shown_invoice(world, each) for each in bills if each["number"]],
        "cards": _cards(world, customer, mine),
        "features": features,
        "flow": flow["type"],
        "back": session["return_url"],
        "number": pages.DEFAULT_CARD,
        "problem": problem,
    }
    return pages.page(world, "demo/portal.html", context, leads_to=_next_address(session))


def _cards(world: World, customer: Object, mine: list[Object]) -> list[Object]:
    """Return the cards in use."""
    chosen = {each["default_payment_method"] for each in mine} | {
        customer["invoice_settings"]["default_payment_method"]
    }
    found = [world.find("payment_method", each) for each in sorted(filter(None, chosen))]
    return [each["card"] for each in found if each]


def _shown_subscription(world: World, subscription: Object, offered: list[str]) -> Object:
    item = subscription["items"]["data"][0]
    price = world.get("price", item["price"])
    return {
        "id": subscription["id"],
        "status": subscription["status"].replace("_", " "),
        "name": world.get("product", price["product"])["name"],
        "amount": prorations.money(price["unit_amount"] * item["quantity"], price["currency"]),
        "interval": price["recurring"]["interval"],
        "planned": _planned(world, subscription),
        "until": pages.moment(subscription["cancel_at"]),
        "offers": [_shown_price(world, each) for each in offered if each != price["id"]],
        "renews_on": pages.moment(item["current_period_end"]),
    }


def _planned(world: World, subscription: Object) -> str:
    """Return what a schedule makes of a subscription and when, "" without one."""
    schedule = world.find("subscription_schedule", subscription["schedule"]) if subscription["schedule"] else None
    later = [each for each in schedule["phases"] if each["start_date"] > world.now()] if schedule else []
    if not later:
        return ""
    return f"{_shown_price(world, later[0]['items'][0]['price'])['text']}, from {pages.moment(later[0]['start_date'])}"


def _shown_price(world: World, identifier: str) -> Object:
    price = world.get("price", identifier)
    amount = prorations.money(price["unit_amount"], price["currency"])
    name = world.get("product", price["product"])["name"]
    return {"id": identifier, "text": f"{name}, {amount} per {price['recurring']['interval']}"}
