"""The hosted pages: Checkout, the customer portal, invoices."""

from __future__ import annotations

import re
from collections.abc import Callable

from billing.demo import checkout, collecting, customers, invoices, pages, pdf, portal_page, prorations
from billing.demo.api import Answer, Request
from billing.demo.errors import ApiError, missing
from billing.demo.forms import nested
from billing.demo.world import Object, World


def answer(world: World, request: Request) -> Answer:
    """Answer a request for a page."""
    for pattern, respond in PAGES:
        if found := pattern.fullmatch(request.path):
            form = nested(request.body.decode("utf-8", "replace")) if request.method == "POST" else {}
            return respond(world, request, form, *found.groups())
    raise ApiError(404, "invalid_request_error", "There is no such page.")


# --- Checkout -------------------------------------------------------------------------------------------------------
def _checkout(world: World, request: Request, form: Object, identifier: str) -> Answer:
    with world.lock:
        session = world.get("checkout.session", identifier)
        if session["status"] == "complete":
            return pages.redirect(checkout.return_address(session))
        if session["status"] == "expired":
            return pages.page(world, "demo/refused.html", {"message": "This checkout has expired."}, status=410)
        problem = ""
        if request.method == "POST":
            try:
                return _pay(world, session, form)
            except ApiError as refusal:
                problem = str(refusal)
                session = world.get("checkout.session", identifier)
        return _checkout_page(world, session, form, problem)


def _pay(world: World, session: Object, form: Object) -> Answer:
    number, expiry = pages.card_in(world, form)
    number = customers.DECLINED if form.get("do") == "decline" else number
    details = {"email": str(form.get("email", "")) or None, "name": str(form.get("name", "")) or None}
    with world.transaction():
        checkout.pay(world, session, number, details, **expiry)
    return pages.redirect(checkout.return_address(session))


def _checkout_page(world: World, session: Object, form: Object, problem: str) -> Answer:
    customer = world.find("customer", session["customer"]) or {}
    items = checkout.line_items_of(world, session)["data"]
    context = {
        "items": [_shown_item(world, item) for item in items],
        "total": prorations.money(session["amount_total"], session["currency"]),
        "back": session["cancel_url"],
        "email": form.get("email") or session["customer_email"] or customer.get("email") or "",
        "name": form.get("name") or customer.get("name") or "",
        "number": form.get("number") or pages.DEFAULT_CARD,
        "expiry": form.get("expiry") or "12 / 40",
        "problem": problem,
    }
    return pages.page(world, "demo/checkout.html", context, leads_to=session["success_url"])


def _shown_item(world: World, item: Object) -> Object:
    price = item["price"]
    return {
        "name": item["description"],
        "about": world.get("product", price["product"])["description"] or "",
        "quantity": item["quantity"],
        "amount": prorations.money(item["amount_total"], item["currency"]),
        "interval": price["recurring"]["interval"],
    }


def _invoice(world: World, request: Request, form: Object, identifier: str) -> Answer:
    with world.lock:
        invoice = _sent(world, identifier)
        problem = ""
        if request.method == "POST":
            try:
                with world.transaction():
                    _pay_invoice(world, invoice, form)
                return pages.redirect(invoice["hosted_invoice_url"])
            except ApiError as refusal:
                problem = str(refusal)
        context = {
            "invoice": pages.shown_invoice(world, _sent(world, identifier)),
            "number": pages.DEFAULT_CARD,
            "problem": problem,
        }
        return pages.page(world, "demo/invoice.html", context)


def _sent(world: World, identifier: str) -> Object:
    invoice = world.get("invoice", identifier)
    if not invoice["hosted_invoice_url"]:
        raise missing("invoice", identifier)
    return invoice


def _pay_invoice(world: World, invoice: Object, form: Object) -> None:
    """Pay an open invoice with the card given, which then pays the next ones as well."""
    number, expiry = pages.card_in(world, form)
    if invoice["status"] not in ("open", "uncollectible"):
        raise ApiError(400, "invalid_request_error", "This invoice is not open any more.")
    customer = customers.living(world, invoice["customer"])
    method = customers.new_payment_method(world, number, details={"email": customer["email"]}, **expiry)
    customers.attach(world, method, customer)
    if not collecting.collect(world, invoice, method, is_present=True):
        raise ApiError(402, "card_error", "Your card was declined.", is_kept=True)
    subscription = world.get("subscription", invoices.subscription_of(invoice) or "")
    if not subscription["ended_at"]:
        with world.changing(subscription, "customer.subscription.updated"):
            subscription["default_payment_method"] = method["id"]


def _invoice_pdf(world: World, request: Request, form: Object, identifier: str) -> Answer:
    with world.lock:
        shown = pages.shown_invoice(world, _sent(world, identifier))
    headers = {"content-type": "application/pdf", "content-disposition": f'inline; filename="{shown["number"]}.pdf"'}
    return Answer(200, pdf.of_invoice(shown), headers)


PAGES: list[tuple[re.Pattern[str], Callable[..., Answer]]] = [
    (re.compile(r"/checkout/(cs_test_\w+)"), _checkout),
    (re.compile(r"/portal/(test_\w+)"), portal_page.answer),
    (re.compile(r"/invoice/(in_\w+)"), _invoice),
    (re.compile(r"/invoice/(in_\w+)/pdf"), _invoice_pdf),
]
