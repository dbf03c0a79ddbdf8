"""What the stand-in's requests may say is what Stripe's may: every parameter it takes is one of the SDK's."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from billing.demo import api
from billing.demo.forms import Spec
from billing.demo.routes import Route

NAMES = {
    "billing_portal.configurations": "billing_portal.ConfigurationParams",
    "billing_portal.sessions": "billing_portal.SessionParams",
    "charges": "ChargeParams",
    "checkout.sessions": "checkout.SessionParams",
    "customers": "CustomerParams",
    "disputes": "DisputeParams",
    "events": "EventParams",
    "invoice_payments": "InvoicePaymentParams",
    "invoices": "InvoiceParams",
    "payment_intents": "PaymentIntentParams",
    "payment_methods": "PaymentMethodParams",
    "prices": "PriceParams",
    "products": "ProductParams",
    "refunds": "RefundParams",
    "subscription_schedules": "SubscriptionScheduleParams",
    "subscriptions": "SubscriptionParams",
    "webhook_endpoints": "WebhookEndpointParams",
}
SPECIAL = {
    "POST /v1/invoices/{id}/finalize": "InvoiceFinalizeInvoiceParams",
    "POST /v1/invoices/{id}/void": "InvoiceVoidInvoiceParams",
    "POST /v1/invoices/create_preview": "InvoiceCreatePreviewParams",
    "GET /v1/invoices/{id}/lines": "InvoiceLineItemListParams",
    "GET /v1/customers/{id}/payment_methods": "CustomerPaymentMethodListParams",
    "GET /v1/checkout/sessions/{id}/line_items": "checkout.SessionLineItemListParams",
    "DELETE /v1/subscriptions/{id}": "SubscriptionCancelParams",
}


def declared(route: Route) -> Any:
    """Return the SDK's TypedDict of a route's parameters."""
    name = SPECIAL.get(f"{route.method} {route.path}") or _by_rule(route)
    place, _, plain = name.rpartition(".")
    return getattr(importlib.import_module(f"stripe.params{'.' + place if place else ''}"), plain)


def _by_rule(route: Route) -> str:
    parts = route.path.removeprefix("/v1/").split("/")
    at = parts.index("{id}") if "{id}" in parts else len(parts)
    name = NAMES[".".join(parts[:at])]
    verb = "".join(word.title() for word in parts[-1].split("_")) if parts[-1] not in (*parts[:at], "{id}") else ""
    if not verb:
        is_one = at < len(parts)
        verb = {"GET": "Retrieve" if is_one else "List", "POST": "Update" if is_one else "Create"}.get(
            route.method, "Delete"
        )
    return name.replace("Params", f"{verb}Params")


def strange(spec: Spec, kind: Any, path: str = "") -> Iterator[str]:
    """Yield what a spec takes and the SDK does not know."""
    known = inspect.get_annotations(kind)
    for base in kind.__orig_bases__ if hasattr(kind, "__orig_bases__") else ():
        known = {**inspect.get_annotations(base), **known} if inspect.isclass(base) else known
    for name, reader in spec.items():
        if name not in known:
            yield f"{path}{name}"
        elif isinstance(reader, Mapping):
            inner = _inner(kind, str(known[name]))
            if inner is not None:
                yield from strange(reader, inner, f"{path}{name}.")


def _inner(kind: Any, hint: str) -> Any:
    """Return the TypedDict that the hint of a nested parameter names."""
    module = importlib.import_module(kind.__module__)
    names = [each for each in re.findall(r"\w*Params\w+", hint) if hasattr(module, each)]
    return getattr(module, names[0]) if names else None


@pytest.mark.parametrize("route", api.ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_parameter_is_one_of_the_sdks(route: Route) -> None:
    assert list(strange(route.spec, declared(route))) == []


def test_the_comparison_finds_what_is_not_stripes() -> None:
    route = next(each for each in api.ROUTES if (each.method, each.path) == ("POST", "/v1/customers"))
    odd: Spec = {**route.spec, "shoe_size": str, "address": {"planet": str}}
    assert sorted(strange(odd, declared(route))) == ["address.planet", "shoe_size"]
