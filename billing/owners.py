"""What a subscription means to who owns a workspace: that there is one, and whose card pays it after a hand-over."""

from __future__ import annotations

from collections.abc import Iterable

from accounts.models import Workspace
from accounts.paid import Paid
from billing import history
from billing.models import Customer, Happening, Subscription
from crosswire.lib import clock

HANDED_OVER = "handed_over"


def paid(workspace: Workspace) -> Paid | None:
    """Return what is paid for a workspace; None without a subscription."""
    customer = Customer.objects.filter(workspace=workspace).first()
    now = customer.subscriptions.current() if customer else None
    if customer is None or now is None:
        return None
    return Paid(now.plan, customer.payment_method, is_overdue=now.status not in Subscription.PAID)


def hand_over(workspace: Workspace, before: str, after: str) -> None:
    """Inside the transaction that makes somebody else the owner: keep whose card it is, and have both told."""
    customer = Customer.objects.filter(workspace=workspace).first()
    now = customer.subscriptions.current() if customer else None
    if customer is None or now is None:
        return
    own = {"plan": now.plan, "by": before, "to": after, "method": customer.payment_method}
    history.record(customer, HANDED_OVER, f"{now.stripe_id}#{clock.iso(clock.now())}", own)


def card_of(customer: Customer, newest: Iterable[Happening]) -> str:
    """Return the address of the former owner who put in the card that pays, "" where it was none. `newest`: what
    happened, newest first."""
    method = customer.payment_method
    mine = [each for each in newest if each.kind == HANDED_OVER and each.details.get("method") == method]
    return str(mine[-1].details.get("by", "")) if mine and method else ""
