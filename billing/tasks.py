"""Celery tasks: ids in, one service call, safe to run twice."""

from __future__ import annotations

from celery import shared_task

from billing import closing, grace, reconciling, telling, webhooks


@shared_task(name="billing.tasks.close_customer")  # type: ignore[untyped-decorator]  # Celery ships no types
def close_customer(customer_id: int) -> None:
    """End at Stripe what a deleted workspace paid."""
    closing.close(customer_id)


@shared_task(name="billing.tasks.tell")  # type: ignore[untyped-decorator]  # as above
def tell(happening_id: int) -> None:
    """Mail who wants to know of something that happened."""
    telling.tell(happening_id)


@shared_task(name="billing.tasks.keep_graces")  # type: ignore[untyped-decorator]  # as above
def keep_graces() -> dict[str, int]:
    """Remind of graces that end soon, end those that are over."""
    return grace.keep()


@shared_task(name="billing.tasks.resume")  # type: ignore[untyped-decorator]  # as above
def resume() -> dict[str, int]:
    """Do what was left: events, mails, subscriptions of deleted workspaces, a comparison that was cut off."""
    return {
        **webhooks.handle_waiting(),
        "closing": closing.resume(),
        "told": telling.resume(),
        "reconciling": int(reconciling.resume()),
    }


@shared_task(name="billing.tasks.reconcile")  # type: ignore[untyped-decorator]  # as above
def reconcile() -> None:
    """Compare everything with Stripe; delete old events."""
    webhooks.prune()
    reconciling.reconcile()
