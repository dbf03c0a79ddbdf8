"""Invoices: made as drafts, finalized, then paid, given up or written off."""

from __future__ import annotations

from typing import Any

from billing.demo import payments
from billing.demo.shapes import list_object
from billing.demo.world import Object, World, new_id

DRAFT_SECONDS = 3_600
"""A renewal's invoice stays a draft for an hour, in which it could still be changed."""
ACCOUNT_NAME = "CrossWire demo payments"


def line(world: World, price: Object, amount: int, period: tuple[int, int], text: str, **more: Any) -> Object:
    """Return a line of an invoice. `more`: subscription, item, invoice_item, is_proration, quantity, credited."""
    is_proration = more.get("is_proration", False)
    credited = more.get("credited")
    proration = {"credited_items": credited} if is_proration else None
    if more.get("invoice_item"):
        kind, details = "invoice_item_details", {"invoice_item": more["invoice_item"]}
    else:
        kind, details = "subscription_item_details", {"invoice_item": None, "subscription_item": more["item"]}
    details |= {"proration": is_proration, "proration_details": proration, "subscription": more["subscription"]}
    others = {"invoice_item_details": None, "subscription_item_details": None}
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": text,
        "discount_amounts": [],
        "discountable": not is_proration,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": more.get("metadata", {}),
        "parent": {**others, kind: details, "type": kind},
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": more.get("quantity", 1),
        "quantity_decimal": str(more.get("quantity", 1)),
        "subscription": more["subscription"],
        "subtotal": amount,
        "taxes": [],
    }


def draft(world: World, subscription: Object, reason: str, lines: list[Object], period: tuple[int, int]) -> Object:
    """Return a new draft for a subscription, not yet kept."""
    customer = world.get("customer", subscription["customer"])
    identifier = new_id("in")
    for each in lines:
        each["invoice"] = identifier
    total = sum(each["amount"] for each in lines)
    # Credit of the customer (a negative balance) is taken off first; what is owed (a positive one) is added.
    due = max(0, total + customer["balance"])
    return {
        "id": identifier,
        "object": "invoice",
        "account_country": "US",
        "account_name": ACCOUNT_NAME,
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": world.now() + DRAFT_SECONDS if reason == "subscription_cycle" else None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": world.now(),
        "currency": subscription["currency"],
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": list_object(f"/v1/invoices/{identifier}/lines", lines),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": world.now() + DRAFT_SECONDS if reason == "subscription_cycle" else None,
        "number": None,
        "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        },
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": period[1],
        "period_start": period[0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer["balance"],
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "test_clock": None,
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": world.now(),
    }


def finalize(world: World, invoice: Object) -> Object:
    """Give an invoice its number, settle the customer's credit and make the payment that is to be taken."""
    customer = world.get("customer", invoice["customer"])
    now = world.now()
    due = max(0, invoice["total"] + customer["balance"])
    invoice.update(
        status="open",
        number=f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}",
        starting_balance=customer["balance"],
        ending_balance=min(0, customer["balance"] + invoice["total"]),
        amount_due=due,
        amount_remaining=due,
        effective_at=now,
        automatically_finalizes_at=None,
        next_payment_attempt=None,
        hosted_invoice_url=f"{world.base_url}/invoice/{invoice['id']}",
        invoice_pdf=f"{world.base_url}/invoice/{invoice['id']}/pdf",
    )
    invoice["status_transitions"]["finalized_at"] = now
    with world.changing(customer, "customer.updated"):
        customer["next_invoice_sequence"] += 1
        customer["balance"] = invoice["ending_balance"]
        customer["currency"] = invoice["currency"]
    world.emit("invoice.finalized", invoice)
    if due:
        text = "Subscription creation" if invoice["billing_reason"] == "subscription_create" else "Subscription update"
        intent = payments.new_intent(world, customer, due, invoice["currency"], text)
        _new_payment(world, invoice, intent)
    return invoice


def _new_payment(world: World, invoice: Object, intent: Object) -> Object:
    return world.add(
        {
            "id": new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": world.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def payment_of(world: World, invoice: Object) -> Object | None:
    """Return how an invoice is to be paid, None when nothing is due."""
    return next((each for each in world.all("invoice_payment") if each["invoice"] == invoice["id"]), None)


def intent_of(world: World, invoice: Object) -> Object | None:
    """Return the payment intent of an invoice, None when nothing is due."""
    payment = payment_of(world, invoice)
    return world.get("payment_intent", payment["payment"]["payment_intent"]) if payment else None


def payments_of(world: World, invoice: Object) -> Object:
    """Return an invoice's payments, as its field `payments` shows them."""
    payment = payment_of(world, invoice)
    return list_object("/v1/invoice_payments", [world.public(payment)] if payment else [])


def attempt(world: World, invoice: Object, method: Object | None, *, is_present: bool = False) -> bool:
    """Try to have an open invoice paid; return whether it is. `is_present`: who pays is there."""
    intent = intent_of(world, invoice)
    invoice["attempted"] = True
    if intent is not None:
        invoice["attempt_count"] += 1
        if not payments.confirm(world, intent, method, is_present=is_present):
            return False
    _mark_paid(world, invoice)
    return True


def _mark_paid(world: World, invoice: Object) -> None:
    now = world.now()
    paid = invoice["amount_due"]
    invoice.update(status="paid", amount_paid=paid, amount_remaining=0, next_payment_attempt=None)
    invoice["status_transitions"]["paid_at"] = now
    if payment := payment_of(world, invoice):
        payment.update(status="paid", amount_paid=paid)
        payment["status_transitions"]["paid_at"] = now
        world.emit("invoice_payment.paid", payment)


def give_up(world: World, invoice: Object, status: str) -> None:
    """Stop collecting an invoice: `void` or `uncollectible`."""
    invoice.update(status=status, next_payment_attempt=None, auto_advance=False)
    word = "voided_at" if status == "void" else "marked_uncollectible_at"
    invoice["status_transitions"][word] = world.now()
    world.touch()
    if status == "void":
        _give_credit_back(world, invoice)
    if status == "void" and (intent := intent_of(world, invoice)):
        payments.cancel_intent(world, intent, "void_invoice")
    world.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)


def _give_credit_back(world: World, invoice: Object) -> None:
    """Return to the customer's balance what a finalized invoice took from it, or put there."""
    customer = world.get("customer", invoice["customer"])
    if invoice["ending_balance"] is None or customer.get("deleted"):
        return
    with world.changing(customer, "customer.updated"):
        customer["balance"] += invoice["starting_balance"] - invoice["ending_balance"]


def of_subscription(world: World, subscription: str, *statuses: str) -> list[Object]:
    """Return the invoices of a subscription that have one of these statuses, oldest first."""
    return [
        each
        for each in world.all("invoice")
        if subscription_of(each) == subscription and (not statuses or each["status"] in statuses)
    ]


def subscription_of(invoice: Object) -> str | None:
    """Return the id of the subscription an invoice belongs to."""
    details = (invoice["parent"] or {}).get("subscription_details")
    return details["subscription"] if details else None
