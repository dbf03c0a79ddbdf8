"""`expand[]`: ids replaced by the objects they name, and fields that are shown on request alone."""

from __future__ import annotations

from collections.abc import Callable

from billing.demo import checkout, customers, invoices, payments
from billing.demo.errors import ApiError, invalid
from billing.demo.world import Object, World

REFERENCES = {
    "charge": "charge",
    "configuration": "billing_portal.configuration",
    "customer": "customer",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "price": "price",
    "product": "product",
    "schedule": "subscription_schedule",
    "subscription": "subscription",
}
NEVER = {
    ("subscription_item", "subscription"),
    ("charge", "payment_method"),
    ("line_item", "invoice"),
    ("billing_portal.session", "customer"),
    ("", "product"),  # in a line's pricing.price_details it is a plain id
}
"""Fields that are ids for good, as the API's types say."""
MOST_LEVELS = 4


def _confirmation_secret(world: World, invoice: Object) -> Object | None:
    intent = invoices.intent_of(world, invoice)
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


ON_REQUEST: dict[tuple[str, str], Callable[[World, Object], Object | None]] = {
    ("charge", "refunds"): payments.refunds_of,
    ("checkout.session", "line_items"): checkout.line_items_of,
    ("customer", "subscriptions"): customers.subscriptions_of,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("invoice", "payments"): invoices.payments_of,
}


def expand(world: World, shown: Object, wanted: list[str]) -> Object:
    """Put what is wanted into an answer. Raises: ApiError for what cannot be expanded."""
    for path in wanted:
        parts = path.split(".")
        if len(parts) > MOST_LEVELS:
            raise invalid(f"You cannot expand more than {MOST_LEVELS} levels of a property ({path}).", "expand")
        _expand(world, shown, parts, path)
    return shown


def _expand(world: World, node: Object, parts: list[str], path: str) -> None:
    name, rest = parts[0], parts[1:]
    kind = node.get("object", "")
    if (kind, name) in ON_REQUEST and name not in node:
        kept = world.find(kind, node["id"])
        node[name] = ON_REQUEST[kind, name](world, kept) if kept else None
    elif name not in node:
        raise ApiError(
            400, "invalid_request_error", f"This property cannot be expanded ({path}).", param="expand", code="invalid"
        )
    value = node[name]
    if isinstance(value, str):
        if name not in REFERENCES or (kind, name) in NEVER:
            raise invalid(f"This property cannot be expanded ({path}).", "expand")
        found = world.find(REFERENCES[name], value)
        value = node[name] = world.public(found) if found else value
    for each in value if isinstance(value, list) else [value]:
        if rest and isinstance(each, dict):
            _expand(world, each, rest, path)
