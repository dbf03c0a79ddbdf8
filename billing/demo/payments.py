"""Payment intents and charges: one attempt to take money is one charge."""

from __future__ import annotations

from billing.demo.customers import CARDS, TestCard
from billing.demo.forms import Spec, text
from billing.demo.routes import listing, retrieving, same
from billing.demo.shapes import list_object
from billing.demo.world import Object, World, new_id

NEEDS_ACTION = "requires_action"
CARD_FIELDS = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")


def new_intent(world: World, customer: Object, amount: int, currency: str, description: str) -> Object:
    """Make a payment intent for what a customer owes."""
    identifier = new_id("pi")
    return world.add(
        {
            "id": identifier,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic",
            "client_secret": f"{identifier}_{new_id('secret')}",
            "confirmation_method": "automatic",
            "created": world.now(),
            "currency": currency,
            "customer": customer["id"],
            "customer_account": None,
            "description": description,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": "off_session",
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
        },
        "payment_intent.created",
    )


def confirm(world: World, intent: Object, method: Object | None, *, is_present: bool = False) -> bool:
    """Try to take the money of an intent from a card; return whether that worked. `is_present`: the holder is there."""
    if method is None:
        _fail(world, intent, None, TestCard("", message="This customer has no payment method."))
        return False
    card = CARDS[method["_number"]]
    modes = world.data["modes"]
    if modes["declines"]:
        modes["declines"] -= modes["declines"] > 0  # a negative number: until told otherwise
        card = TestCard(card.number, pays=False)
    if card.confirms and not is_present:
        _ask_to_confirm(world, intent, method)
        return False
    charge = _charge(world, intent, method, card)
    if not card.pays:
        world.emit("charge.failed", charge)
        _fail(world, intent, charge, card, method)
        return False
    world.emit("charge.succeeded", charge)
    with world.changing(intent, "payment_intent.succeeded"):
        intent.update(status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"])
        intent.update(payment_method=method["id"], last_payment_error=None, next_action=None)
    return True


def _ask_to_confirm(world: World, intent: Object, method: Object) -> None:
    """Have the bank want a confirmation (3-D Secure) from a holder who is not there."""
    intent.update(status=NEEDS_ACTION, payment_method=method["id"], last_payment_error=None)
    intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    world.touch()
    world.emit("payment_intent.requires_action", intent)


def _fail(world: World, intent: Object, charge: Object | None, card: TestCard, method: Object | None = None) -> None:
    problem: Object = {"code": "card_declined", "message": card.message, "type": "card_error"}
    if charge:
        problem |= {"charge": charge["id"], "decline_code": card.decline_code}
        intent["latest_charge"] = charge["id"]
    if method:
        problem["payment_method"] = world.public(method)
    intent.update(status="requires_payment_method", last_payment_error=problem, next_action=None)
    world.touch()
    world.emit("payment_intent.payment_failed", intent)


def cancel_intent(world: World, intent: Object, reason: str) -> None:
    """Give up taking the money of an intent."""
    if intent["status"] in ("succeeded", "canceled"):
        return
    intent.update(status="canceled", canceled_at=world.now(), cancellation_reason=reason)
    world.touch()
    world.emit("payment_intent.canceled", intent)


def _charge(world: World, intent: Object, method: Object, card: TestCard) -> Object:
    identifier = new_id("ch")
    charge: Object = {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if card.pays else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": new_id("txn") if card.pays else None,
        "billing_details": dict(method["billing_details"]),
        "calculated_statement_descriptor": "CROSSWIRE DEMO",
        "captured": card.pays,
        "created": world.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if card.pays else "card_declined",
        "failure_message": None if card.pays else card.message,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "outcome": _outcome(card),
        "paid": card.pays,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": _card_details(intent, method), "type": "card"},
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded" if card.pays else "failed",
        "transfer_data": None,
        "transfer_group": None,
    }
    return world.add(charge)


def _outcome(card: TestCard) -> Object:
    return {
        "advice_code": None if card.pays else "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None if card.pays else "01",
        "network_status": "approved_by_network" if card.pays else "declined_by_network",
        "reason": None if card.pays else card.decline_code,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "Payment complete." if card.pays else "The bank did not return any further details.",
        "type": "authorized" if card.pays else "issuer_declined",
    }


def _card_details(intent: Object, method: Object) -> Object:
    return {
        **{name: method["card"][name] for name in CARD_FIELDS},
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "checks": dict(method["card"]["checks"]),
        "installments": None,
        "mandate": None,
        "network": method["card"]["brand"],
        "network_token": {"used": False},
        "three_d_secure": None,
        "wallet": None,
    }


def refunds_of(world: World, charge: Object) -> Object:
    """Return a charge's refunds, as its field `refunds` shows them."""
    mine = [world.public(each) for each in reversed(world.all("refund")) if each["charge"] == charge["id"]]
    return list_object(f"/v1/charges/{charge['id']}/refunds", mine)


BY_CUSTOMER: Spec = {"customer": text}
ROUTES = [
    listing("payment_intent", "/v1/payment_intents", BY_CUSTOMER, same("customer")),
    retrieving("payment_intent", "/v1/payment_intents"),
    listing("charge", "/v1/charges", {**BY_CUSTOMER, "payment_intent": text}, same("customer", "payment_intent")),
    retrieving("charge", "/v1/charges"),
]
