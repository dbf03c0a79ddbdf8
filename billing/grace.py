"""The seven days after a payment was missed: a reminder before they end, and their end at the minute."""

from __future__ import annotations

import logging
from datetime import timedelta

from billing import applying, history, refreshing
from billing.models import Subscription
from crosswire.lib import clock
from crosswire.lib.database import writing

REMINDED = timedelta(days=2)
"""How long before the end the reminder goes out."""

logger = logging.getLogger(__name__)


def keep() -> dict[str, int]:
    """Remind of graces that end soon and end those that are over; return how many of each.

    Before a plan is taken away Stripe is asked whether the payment has come meanwhile: while it does not answer, the
    plan stays.
    """
    return {"reminded": _remind(), "ended": _end()}


def _running() -> list[Subscription]:
    found = Subscription.objects.filter(grace_until__lte=clock.now() + REMINDED, grace_ended_at=None)
    return list(found.select_related("customer").order_by("grace_until", "pk"))


def _remind() -> int:
    count = 0
    for each in _running():
        if each.grace_until is None or each.grace_until <= clock.now():
            continue
        with writing():
            customer = applying.locked(each.customer_id)
            on = clock.iso(each.grace_until)
            details = {"plan": each.plan, "interval": each.interval, "on": on}
            count += history.record(customer, "grace_ending", f"{each.stripe_id}#{on}", details)
    return count


def _end() -> int:
    count = 0
    for each in _running():
        if each.grace_until is None or each.grace_until > clock.now():
            continue
        try:
            refreshing.refresh(each.customer)
            count += 1
        except Exception:  # whatever is wrong with one hinders no other
            logger.exception("grace_not_ended", extra={"subscription": each.stripe_id})
    return count
