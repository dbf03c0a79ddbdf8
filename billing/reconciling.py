"""Comparing everything with Stripe every night, and repairing what differs.

A run remembers how far it came: one that was cut off goes on there.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction

from accounts.models import Workspace
from billing import applying, closing, gateway, reading, refreshing
from billing.gateway import StripeAwayError
from billing.models import Customer, Reconciliation
from crosswire.lib import clock, jobs
from crosswire.lib.database import writing

STALE = timedelta(minutes=5)
"""When a run that gave no sign of life is taken for dead: a customer takes seconds."""
PATIENCE = 3
"""How many customers in a row may go unanswered before a run is put off."""
KEPT = timedelta(days=90)
MOST_PROBLEMS = 100
_TASK = "billing.tasks.reconcile"

logger = logging.getLogger(__name__)


def reconcile() -> Reconciliation | None:
    """Compare every customer with Stripe and repair what differs; go on where a run was cut off.

    One that cannot be compared hinders no other: it is among the run's `problems`. While Stripe does not answer at all
    the run is left where it came, for `resume`. Returns None while another process is at it, or where nobody ever paid.
    """
    run = _begun()
    if run is None:
        return None
    if not _compare_all(run):
        return run
    for problem in _strangers(is_dry=False):
        _note(run, problem)
    run.finished_at = clock.now()
    run.save(update_fields=["finished_at"])
    Reconciliation.objects.filter(began_at__lt=clock.now() - KEPT).delete()
    logger.info("reconciled", extra={"looked_at": run.looked_at, "repaired": run.repaired, "problems": run.problems})
    return run


def differences() -> list[str]:
    """Return what `reconcile` would repair, in sentences, and change nothing."""
    found = []
    for customer in Customer.objects.filter(closed_at=None).order_by("pk"):
        try:
            found += _difference(customer)
        except Exception as problem:  # noqa: BLE001 - whatever is wrong with one hinders no other
            found.append(_sentence(customer, problem))
    return found + _strangers(is_dry=True)


def resume() -> bool:
    """Go on with a run that was cut off; return whether there was one."""
    if not Reconciliation.objects.filter(finished_at=None, seen_at__lt=clock.now() - STALE).exists():
        return False
    jobs.start(_TASK)
    return True


def _begun() -> Reconciliation | None:
    if not gateway.is_configured() or not Customer.objects.exists():
        return None
    now = clock.now()
    with writing():
        run = Reconciliation.objects.select_for_update().filter(finished_at=None).order_by("-pk").first()
        if run is not None and run.seen_at >= now - STALE:
            return None
        if run is None:
            return Reconciliation.objects.create(began_at=now, seen_at=now)
        run.seen_at = now
        run.save(update_fields=["seen_at"])
        return run


def _compare_all(run: Reconciliation) -> bool:
    """Return False as soon as Stripe has not answered several times in a row: each time takes half a minute."""
    customers = Customer.objects.filter(closed_at=None).order_by("pk")
    reached, away = (run.last_customer, run.looked_at, run.problems), 0
    while (customer := customers.filter(pk__gt=run.last_customer).first()) is not None:
        if _compare(run, customer):
            reached, away = (run.last_customer, run.looked_at, run.problems), 0
        elif (away := away + 1) == PATIENCE:
            run.last_customer, run.looked_at, run.problems = reached
            run.save(update_fields=["last_customer", "looked_at", "problems"])
            return False
    return True


def _compare(run: Reconciliation, customer: Customer) -> bool:
    """Compare one customer; return whether Stripe answered."""
    repaired, answered = 0, True
    try:
        repaired = int(refreshing.refresh(customer))
    except Exception as problem:
        answered = not isinstance(problem, StripeAwayError)
        logger.exception("customer_not_reconciled", extra={"customer": customer.stripe_id})
        _note(run, _sentence(customer, problem))
    if repaired:
        logger.warning("customer_repaired", extra={"customer": customer.stripe_id})
    run.last_customer, run.seen_at = customer.pk, clock.now()
    run.looked_at, run.repaired = run.looked_at + 1, run.repaired + repaired
    run.save(update_fields=["last_customer", "seen_at", "looked_at", "repaired"])
    return answered


def _note(run: Reconciliation, problem: str) -> None:
    run.problems = [*run.problems, problem][:MOST_PROBLEMS]
    run.save(update_fields=["problems"])


def _sentence(customer: Customer, problem: Exception) -> str:
    return f"{customer.workspace_slug} ({customer.stripe_id}): {problem}"[:300]


def _difference(customer: Customer) -> list[str]:
    found = reading.read(customer.stripe_id)
    with writing():
        number = Customer.objects.values_list("reads_begun", flat=True).get(pk=customer.pk) + 1
        before = Workspace.objects.filter(customer=customer.pk).values_list("plan", flat=True).first()
        differs = applying.apply(customer.pk, number, found)
        after = Workspace.objects.filter(customer=customer.pk).values_list("plan", flat=True).first()
        transaction.set_rollback(True)
    plan = f"; plan {before} becomes {after}" if before != after else ""
    return [f"{customer.workspace_slug} ({customer.stripe_id}) is not as Stripe has it{plan}."] if differs else []


def _strangers(*, is_dry: bool) -> list[str]:
    """Return subscriptions at Stripe that name a workspace of ours and belong to no customer that we know: as after a
    backup was restored. Which workspace is meant is for a person to say. One of a workspace that was deleted and is
    closed here is ended, unless `is_dry`."""
    found = []
    try:
        for each in gateway.each(lambda stripe: stripe.v1.subscriptions.list({"limit": 100})):
            slug = (each.get("metadata") or {}).get(reading.WORKSPACE, "")
            customer = reading.id_of(each.get("customer"))
            known = Customer.objects.filter(stripe_id=customer).first()
            if known is not None and known.closed_at is not None:
                found.append(f"Subscription {each['id']} goes on though workspace {known.workspace_slug} was deleted.")
                if not is_dry:
                    closing.reopen(known)
            elif slug and known is None and _is_ours(slug):
                found.append(
                    f"Subscription {each['id']} names workspace {slug}, but its customer {customer} is unknown."
                )
    except Exception as problem:
        logger.exception("subscriptions_not_listed")
        found.append(f"Stripe's subscriptions cannot be listed: {problem}")
    return found


def _is_ours(slug: str) -> bool:
    return Workspace.objects.filter(slug=slug).exists() or Customer.objects.filter(workspace_slug=slug).exists()
