"""Customers and their cards."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from billing.demo.errors import declined, invalid, missing
from billing.demo.forms import Spec, mapping, merged, need, text, whole
from billing.demo.paging import page_of
from billing.demo.routes import ADDRESS, Route, copied, listing, retrieving, same, whole_address
from billing.demo.shapes import list_object
from billing.demo.world import Object, World, new_id

ADDRESS_SPEC: Spec = dict.fromkeys(ADDRESS, text)
CUSTOMER: Spec = {
    "address": ADDRESS_SPEC,
    "balance": whole,
    "description": text,
    "email": text,
    "invoice_settings": {"default_payment_method": text, "footer": text},
    "metadata": mapping,
    "name": text,
    "phone": text,
}
BILLING_DETAILS: Spec = {"address": ADDRESS_SPEC, "email": text, "name": text, "phone": text}


@dataclass(frozen=True)
class TestCard:
    """How a card behaves. `attaches`, `pays`: whether the bank agrees; else `decline_code` and the bank's words.
    `confirms`: it agrees where its holder is there to confirm the payment, and to none that is taken behind their back.
    """

    number: str
    attaches: bool = True
    pays: bool = True
    confirms: bool = False
    decline_code: str = "generic_decline"
    message: str = "Your card was declined."
    alias: str = ""


CARDS = {
    card.number: card
    for card in (
        TestCard("4242424242424242", alias="pm_card_visa"),
        TestCard("5555555555554444", alias="pm_card_mastercard"),
        TestCard("4000002760003184", confirms=True, alias="pm_card_authenticationRequired"),
        TestCard("4000000000000002", attaches=False, pays=False, alias="pm_card_chargeDeclined"),
        TestCard("4000000000000341", pays=False, alias="pm_card_chargeCustomerFail"),
        TestCard(
            "4000000000009995",
            attaches=False,
            pays=False,
            decline_code="insufficient_funds",
            message="Your card has insufficient funds.",
            alias="pm_card_visa_chargeDeclinedInsufficientFunds",
        ),
    )
}
DECLINED = "4000000000000002"
_TOKENS = {card.alias: card.number for card in CARDS.values()}


def create_customer(world: World, given: Object) -> Object:
    """Make a customer."""
    customer: Object = {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": world.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": secrets.token_hex(4).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    if method := given.get("payment_method"):
        world.add(customer)
        attach_payment_method(world, {"customer": customer["id"]}, method)
    _fill_customer(world, customer, given)
    return world.add(customer, "customer.created")


def _fill_customer(world: World, customer: Object, given: Object) -> None:
    copied(customer, given, "balance", "description", "email", "name", "phone")
    if "address" in given:
        customer["address"] = whole_address(given["address"])
    chosen = given.get("invoice_settings", {})
    if method := chosen.get("default_payment_method"):
        owned(world, method, customer["id"], "invoice_settings[default_payment_method]")
    customer["invoice_settings"].update(chosen)
    customer["metadata"] = merged(customer["metadata"], given.get("metadata"))


def owned(world: World, method: str, customer: str, param: str) -> Object:
    """Return a customer's own payment method. Raises: ApiError when it is somebody else's."""
    found = world.named("payment_method", method, param)
    if found["customer"] != customer:
        raise invalid(f"The customer does not have a payment method with the ID {method}.", param, "resource_missing")
    return found


def living(world: World, identifier: str, *, is_address: bool = False) -> Object:
    """Return a customer that was not deleted. Raises: ApiError; `is_address`: 404, when the address names it."""
    customer = world.get("customer", identifier, "id" if is_address else "customer", is_address=is_address)
    if customer.get("deleted"):
        raise missing("customer", identifier, is_address=is_address)
    return customer


def update_customer(world: World, given: Object, identifier: str) -> Object:
    """Change a customer."""
    customer = living(world, identifier, is_address=True)
    with world.changing(customer, "customer.updated"):
        _fill_customer(world, customer, given)
    return customer


def new_payment_method(world: World, number: str, *, month: int = 12, year: int = 0, details: Object) -> Object:
    """Make a card payment method that nobody owns yet. Raises: ApiError for a number that is no test card's."""
    digits = "".join(number.split())
    if digits not in CARDS:
        raise declined(
            "incorrect_number",
            "",
            "Your card number is incorrect. Demo payments take Stripe's test cards alone.",
            param="number",
        )
    brand = "visa" if digits.startswith("4") else "mastercard"
    billing = {name: details.get(name) for name in ("email", "name", "phone")}
    return world.add(
        {
            "id": new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {"address": _blank_address(details.get("address")), **billing, "tax_id": None},
            "card": {
                "brand": brand,
                "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
                "country": "US",
                "display_brand": brand,
                "exp_month": month,
                "exp_year": year or 2040,
                "fingerprint": hashlib.sha256(digits.encode()).hexdigest()[:16],
                "funding": "credit",
                "generated_from": None,
                "last4": digits[-4:],
                "networks": {"available": [brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": world.now(),
            "customer": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
            "_number": digits,
        }
    )


def _blank_address(given: Object | None) -> Object:
    return whole_address(given) or dict.fromkeys(ADDRESS)


def attach(world: World, method: Object, customer: Object) -> Object:
    """Give a payment method to a customer. Raises: ApiError when the bank refuses the card."""
    card = CARDS[method["_number"]]
    if not card.attaches:
        raise declined("card_declined", card.decline_code, card.message)
    method["customer"] = customer["id"]
    world.touch()
    world.emit("payment_method.attached", method)
    return method


def create_payment_method(world: World, given: Object) -> Object:
    """Make a payment method from a test card's number."""
    need(given, "type")
    need(given, "card")
    card = given["card"]
    need(card, "number", "exp_month", "exp_year")
    return new_payment_method(
        world,
        card["number"],
        month=card["exp_month"],
        year=card["exp_year"],
        details=given.get("billing_details", {}),
    )


def attach_payment_method(world: World, given: Object, identifier: str) -> Object:
    """Give a payment method, or one of Stripe's test tokens such as `pm_card_visa`, to a customer."""
    need(given, "customer")
    customer = living(world, given["customer"])
    if identifier in _TOKENS:
        method = new_payment_method(world, _TOKENS[identifier], details={})
    else:
        method = world.get("payment_method", identifier)
    return attach(world, method, customer)


def detach_payment_method(world: World, given: Object, identifier: str) -> Object:
    """Take a payment method from its customer."""
    method = world.get("payment_method", identifier)
    owner = world.find("customer", method["customer"])
    if owner is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    if owner.get("invoice_settings", {}).get("default_payment_method") == identifier:
        with world.changing(owner, "customer.updated"):
            owner["invoice_settings"]["default_payment_method"] = None
    with world.changing(method, "payment_method.detached"):
        method["customer"] = None
    return method


def _customers_methods(world: World, given: Object, identifier: str) -> Object:
    living(world, identifier, is_address=True)
    mine = [each for each in world.all("payment_method") if each["customer"] == identifier]
    return page_of(world, mine, given, f"/v1/customers/{identifier}/payment_methods")


def subscriptions_of(world: World, customer: Object) -> Object:
    """Return a customer's subscriptions that have not ended, as the field `subscriptions` shows them."""
    mine = [
        world.public(each)
        for each in reversed(world.all("subscription"))
        if each["customer"] == customer["id"] and each["status"] not in ("canceled", "incomplete_expired")
    ]
    return list_object(f"/v1/customers/{customer['id']}/subscriptions", mine)


LIST_METHODS: Spec = {"type": text}
ROUTES = [
    Route("POST", "/v1/customers", create_customer, {**CUSTOMER, "payment_method": text}),
    listing("customer", "/v1/customers", {"email": text}, same("email")),
    retrieving("customer", "/v1/customers"),
    Route("POST", "/v1/customers/{id}", update_customer, CUSTOMER),
    Route("GET", "/v1/customers/{id}/payment_methods", _customers_methods, {**LIST_METHODS, "limit": whole}),
    Route(
        "POST",
        "/v1/payment_methods",
        create_payment_method,
        {
            "type": text,
            "card": {"number": text, "exp_month": whole, "exp_year": whole, "cvc": text},
            "billing_details": BILLING_DETAILS,
        },
    ),
    listing("payment_method", "/v1/payment_methods", {"customer": text, **LIST_METHODS}, same("customer", "type")),
    retrieving("payment_method", "/v1/payment_methods"),
    Route("POST", "/v1/payment_methods/{id}/attach", attach_payment_method, {"customer": text}),
    Route("POST", "/v1/payment_methods/{id}/detach", detach_payment_method),
]
