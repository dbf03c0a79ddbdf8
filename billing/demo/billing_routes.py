"""Invoices, refunds, disputes and events as the API offers them."""

from __future__ import annotations

from billing.demo import collecting, invoices, pending, previews
from billing.demo.errors import invalid
from billing.demo.forms import Spec, flag, listed, mapping, merged, need, one_of, text, whole
from billing.demo.paging import page_of
from billing.demo.routes import Route, listing, retrieving, same
from billing.demo.world import DAY, Object, World, new_id

REASONS = one_of("duplicate", "fraudulent", "requested_by_customer")


def _open(world: World, identifier: str, *statuses: str) -> Object:
    invoice = world.get("invoice", identifier)
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in statuses:
        raise invalid(f"This invoice has the status {invoice['status']}, which does not allow that.")
    return invoice


def pay(world: World, given: Object, identifier: str) -> Object:
    """Try to have an invoice paid now. Raises: ApiError 402 when the card is refused; the attempt stays."""
    invoice = _open(world, identifier, "open", "draft", "uncollectible")
    if invoice["status"] == "draft":
        invoices.finalize(world, invoice)
    method = None
    if chosen := given.get("payment_method"):
        method = world.named("payment_method", chosen, "payment_method")
    if not collecting.collect(world, invoice, method):
        raise collecting.refusal(world, invoice, "invoice")
    return invoice


def finalize(world: World, given: Object, identifier: str) -> Object:
    """Finalize a draft now, not when its hour is over."""
    invoice = _open(world, identifier, "draft")
    invoices.finalize(world, invoice)
    invoice["next_payment_attempt"] = world.now() + invoices.DRAFT_SECONDS if invoice["auto_advance"] else None
    return invoice


def void(world: World, given: Object, identifier: str) -> Object:
    """Void an open invoice."""
    invoice = _open(world, identifier, "open", "uncollectible")
    invoices.give_up(world, invoice, "void")
    pending.drop(world, invoice)
    collecting.set_delinquent(world, invoice)
    return invoice


def write_off(world: World, given: Object, identifier: str) -> Object:
    """Mark an open invoice as one that will not be paid."""
    invoice = _open(world, identifier, "open")
    invoices.give_up(world, invoice, "uncollectible")
    collecting.set_delinquent(world, invoice)
    return invoice


def _lines(world: World, given: Object, identifier: str) -> Object:
    invoice = world.get("invoice", identifier)
    lines = list(reversed(invoice["lines"]["data"]))
    return page_of(world, lines, given, f"/v1/invoices/{identifier}/lines")


def _is_wanted_invoice(invoice: Object, given: Object) -> bool:
    subscription = given.get("subscription")
    return same("customer", "status")(invoice, given) and subscription in (None, invoices.subscription_of(invoice))


def refund(world: World, given: Object) -> Object:
    """Give money back."""
    charge = _refundable(world, given)
    left = charge["amount"] - charge["amount_refunded"]
    amount = given.get("amount", left)
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        raise invalid(f"Refund amount (${amount / 100:.2f}) is greater than unrefunded amount on charge.", "amount")
    made: Object = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn"),
        "charge": charge["id"],
        "created": world.now(),
        "currency": charge["currency"],
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": merged({}, given.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    world.add(made)
    with world.changing(charge, "charge.refunded"):
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.emit("refund.created", made)
    return made


def _refundable(world: World, given: Object) -> Object:
    if given.get("payment_intent"):
        intent = world.named("payment_intent", given["payment_intent"], "payment_intent")
        charge = world.find("charge", intent["latest_charge"])
    else:
        need(given, "charge")
        charge = world.named("charge", given["charge"], "charge")
    if charge is None or not charge["paid"]:
        raise invalid("There is no successful charge to refund.", "charge")
    return charge


def open_dispute(world: World, charge: Object, reason: str = "fraudulent") -> Object:
    """Have a customer's bank ask for the money of a charge back."""
    if charge["disputed"] or not charge["paid"]:
        raise invalid("This charge cannot be disputed.", "charge")
    due_by = world.now() + 7 * DAY
    dispute: Object = {
        "id": new_id("du"),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": world.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": _blank_evidence(),
        "evidence_details": {
            "due_by": due_by,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "chargeback",
                "network": charge["payment_method_details"]["card"]["network"],
                "network_reason_code": "10",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }
    with world.changing(charge, "charge.updated"):
        charge["disputed"] = True
    world.add(dispute, "charge.dispute.created")
    world.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def _blank_evidence() -> Object:
    names = (
        "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
        "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
        "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
        "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
        "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
        "uncategorized_file uncategorized_text"
    )
    return {**dict.fromkeys(names.split()), "enhanced_evidence": {}}


def close_dispute(world: World, dispute: Object, *, is_won: bool) -> Object:
    """Have the bank decide."""
    if dispute["status"] in ("won", "lost"):
        raise invalid("This dispute is closed.", "dispute")
    with world.changing(dispute, "charge.dispute.closed"):
        dispute["status"] = "won" if is_won else "lost"
    if is_won:
        world.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def _accept_dispute(world: World, given: Object, identifier: str) -> Object:
    return close_dispute(world, world.get("dispute", identifier), is_won=False)


def _is_wanted_event(event: Object, given: Object) -> bool:
    kinds = given.get("types") or ([given["type"]] if given.get("type") else [])
    return not kinds or any(kind in ("*", event["type"]) or _matches(kind, event["type"]) for kind in kinds)


def _matches(pattern: str, kind: str) -> bool:
    return pattern.endswith("*") and kind.startswith(pattern[:-1])


OF_CHARGE: Spec = {"charge": text, "payment_intent": text}
ROUTES = [
    Route("POST", "/v1/invoices/create_preview", previews.create_preview, previews.PREVIEW),
    listing(
        "invoice",
        "/v1/invoices",
        {"customer": text, "status": text, "subscription": text},
        _is_wanted_invoice,
    ),
    retrieving("invoice", "/v1/invoices"),
    Route("GET", "/v1/invoices/{id}/lines", _lines, {"limit": whole, "starting_after": text}),
    Route("POST", "/v1/invoices/{id}/pay", pay, {"payment_method": text, "off_session": flag}),
    Route("POST", "/v1/invoices/{id}/finalize", finalize, {"auto_advance": flag}),
    Route("POST", "/v1/invoices/{id}/void", void),
    Route("POST", "/v1/invoices/{id}/mark_uncollectible", write_off),
    listing("invoice_payment", "/v1/invoice_payments", {"invoice": text, "status": text}, same("invoice", "status")),
    retrieving("invoice_payment", "/v1/invoice_payments"),
    Route("POST", "/v1/refunds", refund, {**OF_CHARGE, "amount": whole, "metadata": mapping, "reason": REASONS}),
    listing("refund", "/v1/refunds", OF_CHARGE, same("charge", "payment_intent")),
    retrieving("refund", "/v1/refunds"),
    listing("dispute", "/v1/disputes", OF_CHARGE, same("charge", "payment_intent")),
    retrieving("dispute", "/v1/disputes"),
    Route("POST", "/v1/disputes/{id}/close", _accept_dispute),
    listing("event", "/v1/events", {"type": text, "types": listed(text)}, _is_wanted_event),
    retrieving("event", "/v1/events"),
]
