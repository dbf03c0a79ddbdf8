"""A workspace was deleted: what it pays ends at Stripe, however long that takes.

The customer's row stays when the workspace's is gone. It holds Stripe's ids and nothing about people, so that a
subscription that begins after all (somebody paid on a page that was open) is found, ended and given back.
"""

from __future__ import annotations

import logging

from accounts.models import Workspace
from billing import refreshing, subscribing
from billing.gateway import MissingError
from billing.models import Customer, Happening, Invoice
from crosswire.lib import clock, jobs
from crosswire.lib.database import writing

_TASK = "billing.tasks.close_customer"
_TOGETHER = 200

logger = logging.getLogger(__name__)


def begin(workspace: Workspace) -> None:
    """Inside the transaction that deletes a workspace: remember what has to end, and have it ended after the commit."""
    customer = Customer.objects.select_for_update().filter(workspace=workspace).first()
    if customer is None:
        return
    customer.workspace, customer.closing_at = None, clock.now()
    customer.save(update_fields=["workspace", "closing_at"])
    jobs.queue(_TASK, customer.pk)


def close(customer_id: int) -> None:
    """End everything of a customer whose workspace was deleted. Raises: StripeAwayError; `resume` tries again."""
    customer = Customer.objects.filter(pk=customer_id, closing_at__isnull=False, closed_at=None).first()
    if customer is None:
        return
    try:
        subscribing.end_sessions(customer)
    except MissingError:
        logger.info("customer_is_gone", extra={"customer": customer.stripe_id})
    refreshing.refresh(customer)
    if customer.subscriptions.live().exists():
        raise RuntimeError(f"A subscription of {customer.stripe_id} goes on.")
    with writing():
        for model in (Happening, Invoice):
            model._default_manager.filter(customer=customer).delete()  # noqa: SLF001 - either of the two
        Customer.objects.filter(pk=customer.pk).update(closed_at=clock.now(), payment_method="")


def reopen(customer: Customer) -> None:
    """Have everything of a customer ended once more: something began after all, and nobody told us."""
    with writing():
        Customer.objects.filter(pk=customer.pk, closing_at__isnull=False).update(closed_at=None)
        jobs.queue(_TASK, customer.pk)


def resume() -> int:
    """Have what is not ended tried again; return how many. A workspace that was deleted past us counts as deleted."""
    with writing():
        Customer.objects.filter(workspace=None, closing_at=None).update(closing_at=clock.now())
    waiting = Customer.objects.filter(closing_at__isnull=False, closed_at=None).values_list("pk", flat=True)
    found = list(waiting.order_by("closing_at")[:_TOGETHER])
    for pk in found:
        jobs.start(_TASK, pk)
    return len(found)
