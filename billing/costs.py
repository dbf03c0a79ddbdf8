"""What a change of plan would cost at once, as Stripe works it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from billing import catalog, gateway, history
from billing.models import Subscription
from crosswire.lib.errors import CrossWireError


@dataclass(frozen=True, slots=True)
class Quote:
    """What a change upwards asks for at once, in cents. `credit` is what is kept for later invoices where more was
    paid than is used. `at` is the second up to which the old plan counts: with it Stripe asks for just that."""

    amount: int
    currency: str
    credit: int
    at: int

    @property
    def words(self) -> str:
        """The amount as people write it."""
        return history.money(self.amount, self.currency)


def quote(now: Subscription, plan: str, interval: str) -> Quote | None:
    """Return what a change upwards would ask for at once; None while Stripe does not answer in time."""
    wanted: Any = {"lookup_keys": [catalog.lookup_key(plan, interval)], "limit": 1}
    try:
        prices = gateway.ask(lambda stripe: stripe.v1.prices.list(wanted), hurried=True)["data"]
        return preview(now, prices[0]["id"], is_hurried=True) if prices else None
    except CrossWireError:
        return None


def preview(now: Subscription, price: str, at: int | None = None, *, is_hurried: bool = False) -> Quote:
    """Return what a change to a price would ask for, as of a second of the running period. Raises: as `gateway.ask`."""
    details: Any = {"items": [{"id": now.item_id, "price": price}], "proration_behavior": "always_invoice"}
    if at is not None:
        details["proration_date"] = at
    wanted: Any = {"subscription": now.stripe_id, "subscription_details": details}
    invoice = gateway.ask(lambda stripe: stripe.v1.invoices.create_preview(wanted), hurried=is_hurried)
    parent = (invoice.get("parent") or {}).get("subscription_details") or {}
    return Quote(
        amount=int(invoice["amount_due"]),
        currency=str(invoice["currency"]),
        credit=max(0, -int(invoice["total"]) - int(invoice.get("starting_balance") or 0)),
        at=int(parent.get("subscription_proration_date") or at or invoice["created"]),
    )
