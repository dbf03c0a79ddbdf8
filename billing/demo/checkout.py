"""Checkout sessions that begin a subscription: made by the API, completed on a page."""

from __future__ import annotations

from billing.demo import collecting, customers, subscriptions
from billing.demo.errors import invalid
from billing.demo.forms import Spec, flag, listed, mapping, merged, need, one_of, text, whole
from billing.demo.routes import ADDRESS, Route, listing, retrieving, same
from billing.demo.shapes import list_object
from billing.demo.world import DAY, Object, World, new_id

CREATE: Spec = {
    "allow_promotion_codes": flag,
    "billing_address_collection": one_of("auto", "required"),
    "cancel_url": text,
    "client_reference_id": text,
    "customer": text,
    "customer_email": text,
    "expires_at": whole,
    "line_items": listed({"price": text, "quantity": whole}),
    "locale": text,
    "metadata": mapping,
    "mode": one_of("subscription"),
    "payment_method_collection": one_of("always", "if_required"),
    "allowed_payment_method_types": listed(one_of("card")),
    "subscription_data": {"description": text, "metadata": mapping},
    "success_url": text,
    "ui_mode": one_of("hosted_page"),
}
SESSION_ID = "{CHECKOUT_SESSION_ID}"


def create(world: World, given: Object) -> Object:
    """Make a session. Modes other than `subscription` are not there."""
    need(given, "mode", "line_items", "success_url")
    if given.get("customer") and given.get("customer_email"):
        raise invalid("You may only specify one of these parameters: customer, customer_email.")
    customer = customers.living(world, given["customer"]) if given.get("customer") else None
    now = world.now()
    expires_at = given.get("expires_at", now + DAY)
    if not now + 1_800 <= expires_at <= now + DAY:
        raise invalid("The expires_at timestamp must be between 30 minutes and 24 hours from now.", "expires_at")
    prices = [_price(world, each, place) for place, each in enumerate(given["line_items"])]
    total = sum(
        price["unit_amount"] * each.get("quantity", 1) for price, each in zip(prices, given["line_items"], strict=True)
    )
    session = _blank(world, given, customer)
    session.update(
        amount_subtotal=total,
        amount_total=total,
        currency=prices[0]["currency"],
        expires_at=expires_at,
        _items=[{"price": each["price"], "quantity": each.get("quantity", 1)} for each in given["line_items"]],
        _subscription_data=given.get("subscription_data", {}),
    )
    return world.add(session)


def _price(world: World, item: Object, place: int) -> Object:
    need(item, "price")
    return subscriptions.recurring_price(world, item["price"], f"line_items[{place}][price]")


def _blank(world: World, given: Object, customer: Object | None) -> Object:
    identifier = new_id("cs_test", 58)
    email = customer["email"] if customer else given.get("customer_email")
    return {
        "id": identifier,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "allowed_payment_method_types": given.get("allowed_payment_method_types"),
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": given.get("billing_address_collection"),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": world.now(),
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer["id"] if customer else None,
        "customer_account": None,
        "customer_creation": None if customer else "always",
        "customer_details": _details(email, customer["name"] if customer else None) if email else None,
        "customer_email": given.get("customer_email"),
        "discounts": [],
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": given.get("locale"),
        "metadata": merged({}, given.get("metadata")),
        "mode": "subscription",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": given.get("payment_method_collection", "always"),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": {
            "allow_redisplay_filters": ["always"],
            "payment_method_remove": "disabled",
            "payment_method_save": None,
        },
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": given["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{world.base_url}/checkout/{identifier}",
        "wallet_options": None,
    }


def _details(email: str | None, name: str | None) -> Object:
    return {
        "address": dict.fromkeys(ADDRESS),
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def line_items_of(world: World, session: Object) -> Object:
    """Return what a session sells, as its field `line_items` shows it."""
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return list_object(url, [_line_item(world, each, place) for place, each in enumerate(session["_items"])])


def _line_item(world: World, item: Object, place: int) -> Object:
    price = world.public(world.get("price", item["price"]))
    amount = price["unit_amount"] * item["quantity"]
    return {
        "id": f"li_{item['price'].removeprefix('price_')}{place}",
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": world.get("product", price["product"])["name"],
        "metadata": {},
        "price": price,
        "quantity": item["quantity"],
    }


def require_open(session: Object) -> None:
    """Raises: ApiError when a session is over."""
    if session["status"] != "open":
        raise invalid(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"{session['status']}."
        )


def expire(world: World, given: Object, identifier: str) -> Object:
    """End a session that was not completed."""
    session = world.get("checkout.session", identifier)
    require_open(session)
    session.update(status="expired", url=None)
    world.touch()
    world.emit("checkout.session.expired", session)
    return session


def pay(world: World, session: Object, number: str, details: Object, **expiry: int) -> Object:
    """Complete a session with a card. Raises: ApiError when the card is refused; the session stays open then."""
    require_open(session)
    method = customers.new_payment_method(world, number, details=details, **expiry)
    customer = world.find("customer", session["customer"]) or customers.create_customer(
        world, {"email": details.get("email"), "name": details.get("name")}
    )
    if customer.get("deleted"):
        raise invalid("The customer of this Checkout Session was deleted.")
    customers.attach(world, method, customer)
    data = session["_subscription_data"]
    subscription = subscriptions.new(
        world,
        customer,
        session["_items"],
        metadata=merged({}, data.get("metadata")),
        description=data.get("description"),
        default_payment_method=method["id"],
    )
    invoice = subscriptions.begin(world, subscription)
    if not collecting.collect(world, invoice, method, is_present=True):
        raise subscriptions.refused(world, invoice)  # a subscription is made once its first payment has succeeded
    _complete(world, session, customer, subscription, details)
    return session


def _complete(world: World, session: Object, customer: Object, subscription: Object, details: Object) -> None:
    session.update(
        status="complete",
        payment_status="paid",
        url=None,
        customer=customer["id"],
        subscription=subscription["id"],
        invoice=subscription["latest_invoice"],
        customer_details=_details(details.get("email") or customer["email"], details.get("name")),
    )
    world.touch()
    world.emit("checkout.session.completed", session)


def return_address(session: Object) -> str:
    """Return where the buyer goes after paying."""
    return str(session["success_url"]).replace(SESSION_ID, session["id"])


def _line_items(world: World, given: Object, identifier: str) -> Object:
    return line_items_of(world, world.get("checkout.session", identifier))


ROUTES = [
    Route("POST", "/v1/checkout/sessions", create, CREATE),
    listing(
        "checkout.session",
        "/v1/checkout/sessions",
        {"customer": text, "subscription": text, "status": text},
        same("customer", "subscription", "status"),
    ),
    retrieving("checkout.session", "/v1/checkout/sessions"),
    Route("GET", "/v1/checkout/sessions/{id}/line_items", _line_items, {"limit": whole}),
    Route("POST", "/v1/checkout/sessions/{id}/expire", expire),
]
