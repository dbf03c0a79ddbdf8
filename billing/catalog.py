"""The plans as Stripe has them: a product for each that is sold, and a price a month and one a year.

Prices are found by lookup key (`crosswire_starter_month`). A price never changes at Stripe: a new one takes the key
over and the old one is archived, so who subscribed goes on paying what they agreed to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.plans import PLANS, Plan
from billing import gateway, reading
from billing.gateway import Answer, MissingError
from billing.models import Interval
from billing.webhooks import HANDLERS
from crosswire.lib.errors import invalid, unavailable

CURRENCY = "usd"
_OURS = {"crosswire": "portal"}
"""The metadata that our configuration of the customer portal is known by."""

logger = logging.getLogger(__name__)


def sold() -> Iterator[tuple[Plan, str, int]]:
    """Return each plan that is sold, an interval, and what it costs in cents."""
    for plan in PLANS.values():
        if plan.is_public and plan.price_month:
            yield plan, Interval.MONTH.value, plan.price_month
            yield plan, Interval.YEAR.value, plan.price_year


def lookup_key(plan: str, interval: str) -> str:
    """Return the name that Stripe knows a price by."""
    return f"crosswire_{plan}_{interval}"


def price_id(plan: str, interval: str) -> str:
    """Return Stripe's id of what a plan costs.

    Raises: CrossWireError `invalid_input` for what is not sold, `unavailable` while Stripe asks for another amount than
    our pages show; StripeAwayError.
    """
    cents = {(each.name, every): cost for each, every, cost in sold()}.get((plan, interval))
    if cents is None:
        raise invalid(f"There is no plan {plan!r} that is paid by the {interval}.")
    found = _prices().get(lookup_key(plan, interval))
    if gateway.is_demo() and not _is(found, cents):
        sync()
        found = _prices().get(lookup_key(plan, interval))
    if found is None or not _is(found, cents):
        logger.error("price_not_in_sync", extra={"plan": plan, "interval": interval})
        raise unavailable("This plan cannot be bought just now: whoever runs CrossWire has to run `sync_stripe`.")
    return str(found["id"])


def portal_configuration() -> str | None:
    """Return Stripe's id of our configuration of the customer portal. Raises: StripeAwayError."""
    found = _portal()
    return found["id"] if found else None


def sync(*, is_dry: bool = False) -> list[str]:
    """Bring Stripe's products, prices and portal in line with the code; return what was, or would be, changed.

    Raises: StripeAwayError.
    """
    changes: list[str] = []
    prices = _prices()
    for plan in {each.name: each for each, _, _ in sold()}.values():
        changes += _sync_product(plan, is_dry=is_dry)
    for plan, interval, cents in sold():
        changes += _sync_price(plan, interval, cents, prices.get(lookup_key(plan.name, interval)), is_dry=is_dry)
    return changes + _sync_portal(is_dry=is_dry)


def webhook_problems() -> list[str]:
    """Return what is wrong with the webhook endpoint at Stripe, in sentences. Raises: StripeAwayError."""
    url = settings.PUBLIC_URL + reverse("stripe_webhook")
    endpoints = gateway.ask_all(lambda stripe: stripe.v1.webhook_endpoints.list({"limit": 100}), 100)
    found = next((each for each in endpoints if each["url"] == url), None)
    if found is None:
        return [f"Stripe has no webhook endpoint {url}: make one, with version {gateway.api_version()}."]
    problems = []
    if found.get("status") != "enabled":
        problems.append("The webhook endpoint is disabled.")
    if found.get("api_version") != gateway.api_version():
        problems.append(f"The webhook endpoint sends version {found.get('api_version')}, not {gateway.api_version()}.")
    missing = [] if "*" in found["enabled_events"] else sorted(set(HANDLERS) - set(found["enabled_events"]))
    if missing:
        problems.append(f"The webhook endpoint is not told of {', '.join(missing)}.")
    return problems


def _prices() -> dict[str, Answer]:
    keys = [lookup_key(plan.name, interval) for plan, interval, _ in sold()]
    found = gateway.ask_all(
        lambda stripe: stripe.v1.prices.list({"lookup_keys": keys, "active": True, "limit": 10}), len(keys)
    )
    return {each["lookup_key"]: each for each in found}


def _is(price: Answer | None, cents: int) -> bool:
    return price is not None and price["unit_amount"] == cents and price["currency"] == CURRENCY


def _product_id(plan: Plan) -> str:
    return f"crosswire_{plan.name}"


def _sync_product(plan: Plan, *, is_dry: bool) -> list[str]:
    name, metadata = f"CrossWire {plan.title}", {reading.PLAN: plan.name}
    made: Any = {"id": _product_id(plan), "name": name, "metadata": metadata}
    updated: Any = {"name": name, "metadata": metadata, "active": True}
    try:
        found = gateway.ask(lambda stripe: stripe.v1.products.retrieve(_product_id(plan)))
    except MissingError:
        if not is_dry:
            gateway.ask(lambda stripe: stripe.v1.products.create(made))
        return [f"product {_product_id(plan)} made"]
    if _holds(found, updated):
        return []
    if not is_dry:
        gateway.ask(lambda stripe: stripe.v1.products.update(_product_id(plan), updated))
    return [f"product {_product_id(plan)} updated"]


def _sync_price(plan: Plan, interval: str, cents: int, old: Answer | None, *, is_dry: bool) -> list[str]:
    key = lookup_key(plan.name, interval)
    if old is not None and _is(old, cents) and reading.price_of(old).plan == plan.name:
        return []
    wanted: Any = {
        "product": _product_id(plan),
        "currency": CURRENCY,
        "unit_amount": cents,
        "recurring": {"interval": interval},
        "lookup_key": key,
        "transfer_lookup_key": True,
        "metadata": {reading.PLAN: plan.name},
    }
    if not is_dry:
        gateway.ask(lambda stripe: stripe.v1.prices.create(wanted))
        if old is not None:
            gateway.ask(lambda stripe: stripe.v1.prices.update(old["id"], {"active": False}))
    replaced = f", {old['id']} archived" if old is not None else ""
    return [f"price {key} made: {cents} cents{replaced}"]


def _portal() -> Answer | None:
    found = gateway.ask_all(
        lambda stripe: stripe.v1.billing_portal.configurations.list({"active": True, "limit": 100}), 100
    )
    return next((each for each in found if (each.get("metadata") or {}).items() >= _OURS.items()), None)


def _sync_portal(*, is_dry: bool) -> list[str]:
    """Let people see invoices, change how they pay, and cancel at the end of the period; plans change on our pages."""
    features: Any = {
        "customer_update": {"enabled": True, "allowed_updates": ["address", "email", "name", "tax_id"]},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True, "mode": "at_period_end", "proration_behavior": "none"},
        "subscription_update": {"enabled": False},
    }
    pages: Any = {
        "privacy_policy_url": f"{settings.PUBLIC_URL}/privacy",
        "terms_of_service_url": f"{settings.PUBLIC_URL}/terms",
    }
    wanted: Any = {"features": features, "business_profile": pages, "metadata": _OURS}
    found = _portal()
    if found is None:
        if not is_dry:
            gateway.ask(lambda stripe: stripe.v1.billing_portal.configurations.create(wanted))
        return ["portal configuration made"]
    if _holds(found["features"], features) and _holds(found.get("business_profile") or {}, pages):
        return []
    if not is_dry:
        gateway.ask(lambda stripe: stripe.v1.billing_portal.configurations.update(found["id"], wanted))
    return ["portal configuration updated"]


def _holds(found: Any, wanted: Any) -> bool:
    """Return whether what Stripe has contains what we want; it adds fields of its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_holds(found.get(name), value) for name, value in wanted.items())
    return bool(sorted(found or []) == sorted(wanted) if isinstance(wanted, list) else found == wanted)
