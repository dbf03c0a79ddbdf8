"""What the pages share: headers, cards, invoices in words. They are rendered here and run no scripts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from django.template.loader import render_to_string

from billing.demo import prorations
from billing.demo.api import Answer
from billing.demo.errors import ApiError
from billing.demo.world import Object, World

FILES = {"demo.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
DEFAULT_CARD = "4242 4242 4242 4242"


def page(world: World, template: str, context: Object, *, status: int = 200, leads_to: str = "") -> Answer:
    """Return a page. `leads_to`: where its forms may end up, which the content security policy has to allow."""
    target = urlsplit(leads_to or "")
    allowed = f" {target.scheme}://{target.netloc}" if target.netloc else ""
    policy = (
        f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{allowed}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    html = render_to_string(template, {"base": world.base_url, "home": home(world), **context})
    return Answer(status, html.encode(), {**HEADERS, "content-security-policy": policy})


def home(world: World) -> str:
    """Return where the product is when it serves this demo itself, else nothing."""
    parts = urlsplit(world.base_url)
    return f"{parts.scheme}://{parts.netloc}/" if parts.path else ""


def redirect(to: str) -> Answer:
    """Send the browser on."""
    return Answer(303, b"", {"location": to, "referrer-policy": "same-origin"})


def refused(world: World, refusal: ApiError) -> Answer:
    """Return a page that says what is wrong."""
    return page(world, "demo/refused.html", {"message": str(refusal)}, status=refusal.status)


def file(name: str) -> Answer:
    """Return one of the pages' own files."""
    return Answer(200, Path(__file__).with_name(name).read_bytes(), {"content-type": FILES[name]})


def moment(at: int | None) -> str:
    """Return a time as people read it."""
    return datetime.fromtimestamp(at, UTC).strftime("%-d %B %Y") if at is not None else ""


def card_in(world: World, form: Object) -> tuple[str, dict[str, int]]:
    """Return the number and the expiry of a card form. Raises: ApiError."""
    found = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(\d{2})\s*", str(form.get("expiry", "12 / 40")))
    if not found or not 1 <= int(found[1]) <= 12:
        raise ApiError(402, "card_error", "The expiry date must look like 12 / 40.")
    month, year = int(found[1]), 2000 + int(found[2])
    now = datetime.fromtimestamp(world.now(), UTC)
    if (year, month) < (now.year, now.month):
        raise ApiError(402, "card_error", "Your card's expiration date is in the past.")
    if not re.fullmatch(r"\s*\d{3,4}\s*", str(form.get("cvc", "123"))):
        raise ApiError(402, "card_error", "Your card's security code is incomplete.")
    return str(form.get("number", "")), {"month": month, "year": year}


def shown_invoice(world: World, invoice: Object) -> Object:
    """Return an invoice in words."""
    currency = invoice["currency"]
    return {
        "id": invoice["id"],
        "number": invoice["number"],
        "status": invoice["status"],
        "date": moment(invoice["created"]),
        "total": prorations.money(invoice["total"], currency),
        "due": prorations.money(invoice["amount_remaining"], currency),
        "paid": prorations.money(invoice["amount_paid"], currency),
        "credit": prorations.money(invoice["amount_due"] - invoice["total"], currency)
        if invoice["amount_due"] != invoice["total"]
        else "",
        "to": invoice["customer_name"] or invoice["customer_email"] or invoice["customer"],
        "url": invoice["hosted_invoice_url"],
        "pdf": invoice["invoice_pdf"],
        "lines": [
            {
                "text": line["description"],
                "amount": prorations.money(line["amount"], currency),
                "period": f"{moment(line['period']['start'])} – {moment(line['period']['end'])}",
            }
            for line in invoice["lines"]["data"]
        ],
    }
