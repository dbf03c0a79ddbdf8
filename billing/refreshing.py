"""Reading a customer from Stripe again, and ending there what must not go on."""

from __future__ import annotations

import logging

from billing import applying, gateway, reading
from billing.gateway import MissingError, RefusedError
from billing.models import Customer, Subscription
from billing.reading import Reading
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import unavailable

_UNKNOWN = (
    "Stripe does not know who pays for this workspace, as under the key of another account. "
    "Your plan goes on as it is; whoever runs CrossWire has to look into it."
)

logger = logging.getLogger(__name__)


def refresh(customer: Customer, *, by: str = "") -> bool:
    """Bring a customer, and the plan of its workspace, up to date with Stripe; return whether anything changed.

    `by` is the person whose wish was carried out just now. Raises: StripeAwayError; what was known stays in force.
    """
    is_changed, found = _read(customer, by)
    if end_what_must(customer):
        is_more, found = _read(customer, by)
        is_changed = is_changed or is_more
    if _withdraw(found):
        is_more, _ = _read(customer, by)
        is_changed = is_changed or is_more
    customer.refresh_from_db()
    return is_changed


def end_what_must(customer: Customer) -> bool:
    """End surplus subscriptions, giving back what was paid, and every one of a deleted workspace; return whether there
    was anything to do. A refund that Stripe refuses is tried again at each read, and `health` tells of it.

    Raises: StripeAwayError.
    """
    customer.refresh_from_db(fields=["closing_at"])
    mine = Subscription.objects.filter(customer=customer)
    ending = [each for each in mine.live() if each.is_surplus or customer.closing_at]
    for each in ending:
        _cancel(each)
    given_back = [_give_back(each) for each in mine.filter(is_surplus=True, refunded_at=None)]
    return bool(ending) or any(given_back)


def _withdraw(found: Reading) -> bool:
    """Void what is open of subscriptions to our plans that have ended, so that nobody pays for nothing; return whether
    there was any. Raises: StripeAwayError."""
    ended = {each.stripe_id for each in found.subscriptions if each.ended_at is not None and each.price.plan}
    voided = [
        _void(each.stripe_id) for each in found.invoices if each.status == "open" and each.subscription_id in ended
    ]
    return any(voided)


def _void(invoice: str) -> bool:
    try:
        gateway.ask(lambda stripe: stripe.v1.invoices.void_invoice(invoice))
    except RefusedError as refused:  # it is being paid just now: that is told when it is
        logger.warning("invoice_not_voided", extra={"invoice": invoice, "reason": refused.reason})
        return False
    return True


def _read(customer: Customer, by: str) -> tuple[bool, Reading]:
    number = applying.begin(customer.pk)
    stripe_id = Customer.objects.values_list("stripe_id", flat=True).get(pk=customer.pk)
    try:
        found = reading.read(stripe_id)
    except MissingError as missing:
        if Subscription.objects.live().filter(customer=customer).exists():
            raise unavailable(_UNKNOWN, retry_after=3600) from missing
        found = reading.gone(stripe_id)
    return applying.apply(customer.pk, number, found, by), found


def _cancel(subscription: Subscription) -> None:
    try:
        gateway.ask(lambda stripe: stripe.v1.subscriptions.cancel(subscription.stripe_id))
    except MissingError:
        logger.info("subscription_had_ended", extra={"subscription": subscription.stripe_id})


def _give_back(subscription: Subscription) -> bool:
    """Refund what was paid for the running period of a surplus subscription, once however often this runs; return
    whether that is done."""
    newest_paid = gateway.ask_all(
        lambda stripe: stripe.v1.invoices.list(
            {"subscription": subscription.stripe_id, "status": "paid", "limit": 1, "expand": ["data.payments"]}
        ),
        1,
    )
    for invoice in newest_paid:
        for each in (invoice.get("payments") or {}).get("data") or []:
            intent = reading.id_of((each.get("payment") or {}).get("payment_intent"))
            if intent and each.get("status") == "paid" and not _refund(intent):
                return False
    with writing():
        Subscription.objects.filter(pk=subscription.pk).update(refunded_at=clock.now())
    return True


def _refund(intent: str) -> bool:
    try:
        gateway.ask(
            lambda stripe: stripe.v1.refunds.create(
                {"payment_intent": intent, "reason": "duplicate"}, {"idempotency_key": f"crosswire-surplus-{intent}"}
            )
        )
    except RefusedError as refused:
        if refused.reason != "charge_already_refunded":
            logger.exception("not_given_back", extra={"intent": intent, "reason": refused.reason})
            return False
    return True
