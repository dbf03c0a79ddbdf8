"""Refunds and disputes: told to the operator, and kept in the history and the audit log. They change no plan by
themselves: who gives money back decides at Stripe whether the subscription goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from accounts import audit
from billing import applying, history
from billing.models import Customer
from crosswire.lib.database import writing

_FAILED = ("failed", "canceled")
_OPEN = ("needs_response", "under_review")
"""How the status of a dispute ends that is not closed: there are `warning_…` and `appeal_…` ones too."""
OUTCOMES = {
    "won": "the payment stays",
    "lost": "the payment was taken back",
    "warning_closed": "the payment stays",
    "prevented": "it was settled before it began",
}


def note_refund(customer: Customer, refund: dict[str, Any]) -> None:
    """Keep account of a refund as Stripe has it now."""
    amount = {"amount": refund["amount"], "currency": refund["currency"]}
    at = datetime.fromtimestamp(refund["created"], UTC)
    with writing():
        locked = applying.locked(customer.pk)
        if history.record(locked, "refunded", refund["id"], amount, at):
            audit.record(locked.workspace_id, applying.ACTOR, "billing.refunded", history.money(**amount))
        if refund.get("status") in _FAILED and history.record(locked, "refund_failed", refund["id"], amount):
            audit.record(locked.workspace_id, applying.ACTOR, "billing.refund_failed", history.money(**amount))


def note_dispute(customer: Customer, dispute: dict[str, Any]) -> None:
    """Keep account of a dispute as Stripe has it now."""
    amount = {"amount": dispute["amount"], "currency": dispute["currency"]}
    at = datetime.fromtimestamp(dispute["created"], UTC)
    status = str(dispute["status"])
    with writing():
        locked = applying.locked(customer.pk)
        if history.record(locked, "dispute_opened", dispute["id"], amount, at):
            audit.record(locked.workspace_id, applying.ACTOR, "billing.disputed", history.money(**amount))
        if not status.endswith(_OPEN):
            outcome = OUTCOMES.get(status, status.replace("_", " "))
            if history.record(locked, "dispute_closed", dispute["id"], {**amount, "outcome": outcome}):
                audit.record(locked.workspace_id, applying.ACTOR, "billing.dispute_closed", outcome)
