"""Whether billing works: what an operator looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing import gateway, webhooks
from billing.models import Customer, Reconciliation, StripeEvent, Subscription
from crosswire.lib import clock

LATE = timedelta(minutes=15)
"""How long an event may wait before that is a problem."""
RECONCILED_WITHIN = timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class Health:
    """How billing does. `unprocessed` counts events that are stored and not handled; `problems` are sentences."""

    is_configured: bool
    is_demo: bool
    last_webhook_at: datetime | None
    unprocessed: int
    oldest_unprocessed_at: datetime | None
    last_reconcile_at: datetime | None
    last_reconcile: Reconciliation | None
    closing: int
    problems: list[str]


def health() -> Health:
    """Return how billing does, from our own tables."""
    waiting = StripeEvent.objects.filter(processed_at=None).order_by("received_at", "pk")
    oldest = waiting.first()
    newest = StripeEvent.objects.order_by("-received_at", "-pk").first()
    run = Reconciliation.objects.exclude(finished_at=None).order_by("-pk").first()
    closing = Customer.objects.filter(closing_at__isnull=False, closed_at=None).count()
    return Health(
        is_configured=gateway.is_configured(),
        is_demo=gateway.is_demo(),
        last_webhook_at=newest.received_at if newest else None,
        unprocessed=waiting.count(),
        oldest_unprocessed_at=oldest.received_at if oldest else None,
        last_reconcile_at=run.finished_at if run else None,
        last_reconcile=run,
        closing=closing,
        problems=_problems(oldest, newest, run, closing),
    )


def _problems(
    oldest: StripeEvent | None, newest: StripeEvent | None, run: Reconciliation | None, closing: int
) -> list[str]:
    found = []
    if oldest is not None and oldest.received_at < clock.now() - LATE:
        found.append(f"Events of Stripe wait to be handled; the oldest: {oldest.problem or 'nobody tried'}.")
    if newest is not None and newest.problem.startswith(webhooks.OTHER_VERSION):
        found.append(f"The newest event: {newest.problem}")
    if Customer.objects.filter(closed_at=None, created_at__lt=clock.now() - RECONCILED_WITHIN).exists() and (
        run is None or run.finished_at is None or run.finished_at < clock.now() - RECONCILED_WITHIN
    ):
        found.append("Nothing was compared with Stripe for more than a day.")
    if closing:
        whose = "1 deleted workspace" if closing == 1 else f"{closing} deleted workspaces"
        found.append(f"Subscriptions of {whose} are still to be ended at Stripe.")
    owed = Subscription.objects.filter(is_surplus=True, refunded_at=None).order_by("pk")[:10]
    found += [f"What was paid for {each.stripe_id}, a second one, is not given back yet: see Stripe." for each in owed]
    return found + (list(run.problems) if run else [])
