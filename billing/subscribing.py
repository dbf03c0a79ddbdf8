"""What people do about their plan: subscribe, change it, leave, stay after all.

Each asks Stripe, then reads the customer again, so that what a page shows next is what Stripe has. `by` is the address
of who does it. All raise CrossWireError: `unavailable` when Stripe did not answer (it may have done it).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from django.conf import settings

from accounts import audit
from accounts.models import Workspace
from accounts.plans import PLANS
from billing import applying, catalog, gateway, history, proposals, reading, refreshing, schedules
from billing.gateway import MissingError, RefusedError
from billing.models import Customer, Interval, Subscription
from billing.proposals import OutdatedError, Proposal
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import invalid, not_found

SESSIONS = 20
"""How many open Checkout sessions of one customer are looked at; there should be one."""
_NONE = "There is no subscription to change."
_OWING = "A payment is missing: pay the open invoice, or change how you pay, first."


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of plan came to: at once, at the end of the period (`at`), once the bank's confirmation was given
    (at `url`), a planned one dropped, or nothing.

    `before` is what was paid for. Of one at once `paid` was charged and `credit` is kept for later, in cents.
    """

    when: Literal["now", "later", "to_confirm", "dropped", "unchanged"]
    plan: str
    interval: str
    before: str = ""
    at: datetime | None = None
    paid: int = 0
    credit: int = 0
    currency: str = "usd"
    url: str = ""


def page_url(workspace: Workspace, page: str = "") -> str:
    """Return the address of a workspace's billing page, or of one below it."""
    return f"{settings.PUBLIC_URL}/w/{workspace.slug}/billing{page}"


def start_checkout(workspace: Workspace, plan: str, interval: str, *, by: str) -> str:
    """Return the address of Stripe's page where a workspace without a subscription gets one.

    Sessions that are open are ended: of two pages, one can be paid. Raises: CrossWireError `invalid_input` where there
    is a subscription already (change that one), or for a plan that is not sold; `not_found` for a deleted workspace.
    """
    price = catalog.price_id(plan, interval)
    customer = _customer(workspace, by)
    refreshing.refresh(customer)
    if customer.is_gone:
        customer = _replaced(customer, by)
    if customer.subscriptions.live().exists():
        raise OutdatedError("This workspace has a subscription already: change its plan instead.")
    _end_sessions(_open_sessions(customer))
    wanted: Any = _wanted_session(workspace, customer, price)
    made = gateway.ask(lambda stripe: stripe.v1.checkout.sessions.create(wanted))
    audit.record(workspace.pk, by, "billing.checkout_started", PLANS[plan].title, interval=interval)
    return str(_last_session(customer, made)["url"])


def checkout_returned(workspace: Workspace, session_id: str) -> bool:
    """Bring the plan up to date for somebody who comes back from Stripe's page; return whether they have paid.

    Raises: CrossWireError `not_found` for a session of anybody else.
    """
    customer = Customer.objects.filter(workspace=workspace).first()
    if customer is None or not session_id.startswith("cs_") or len(session_id) > 255 or not session_id.isascii():
        raise not_found("There is no such payment.")
    session = gateway.ask(lambda stripe: stripe.v1.checkout.sessions.retrieve(session_id))
    if reading.id_of(session["customer"]) != customer.stripe_id or session["client_reference_id"] != workspace.slug:
        raise not_found("There is no such payment.")
    refreshing.refresh(customer)
    return bool(session["status"] == "complete")


def open_portal(workspace: Workspace, *, by: str) -> str:
    """Return the address of Stripe's page with invoices and ways to pay. Raises: CrossWireError `invalid_input` where
    nobody ever subscribed."""
    customer = _known(workspace)
    configuration = catalog.portal_configuration()
    wanted: Any = {"customer": customer.stripe_id, "return_url": page_url(workspace)}
    if configuration:
        wanted["configuration"] = configuration
    found = gateway.ask(lambda stripe: stripe.v1.billing_portal.sessions.create(wanted))
    audit.record(workspace.pk, by, "billing.portal_opened")
    return str(found["url"])


def change_plan(workspace: Workspace, shown: Proposal, *, by: str) -> Change:
    """Change what a subscription is for, just as it was shown: up at once, the difference paid now; down at the end of
    what is paid.

    A year instead of a month counts as up, a month instead of a year as down. To choose what one has drops a change
    that was planned, or a cancellation.

    Raises: CrossWireError `payment_declined` (nothing was changed), OutdatedError where anything is not as it was
    shown, `invalid_input` without a subscription, while a payment is missing, or for a plan that is not sold.
    """
    began = clock.now()
    customer, now = _live(workspace)
    plan, interval, before = shown.plan, shown.interval, now.plan
    price = catalog.price_id(plan, interval)
    is_other = (now.plan, now.interval) != (plan, interval)
    if is_other and now.confirm_until is not None:
        raise OutdatedError(proposals.WAITS)
    if is_other and now.status not in Subscription.PAID:
        raise invalid(_OWING)
    proposals.require(shown, now)
    if not is_other:
        return _stay(customer, now, by)
    if _is_up(now, plan, interval):
        quote = proposals.require_amount(shown, now, price)
        charged = schedules.change_now(now, price, quote.at)
        change = Change("now", plan, interval, before, None, charged.paid, quote.credit, quote.currency)
        if charged.to_confirm:
            change = Change("to_confirm", plan, interval, before, url=charged.to_confirm)
    else:
        schedules.change_later(now, price)
        change = Change("later", plan, interval, before)
    refreshing.refresh(customer, by=by)
    now.refresh_from_db()
    history.sign(customer, by, began)
    audit.record(workspace.pk, by, "billing.change_asked", PLANS[plan].title, interval=interval, when=change.when)
    return replace(change, at=now.scheduled_at) if change.when == "later" else change


def cancel(workspace: Workspace, *, by: str) -> datetime | None:
    """End a subscription when what is paid is used up, and return when; at once (None) while a payment is missing.

    Raises: CrossWireError `invalid_input` without a subscription.
    """
    began = clock.now()
    customer, now = _live(workspace)
    schedules.give_up(now)
    schedules.drop(now)
    if now.status in Subscription.PAID:
        gateway.ask(lambda stripe: stripe.v1.subscriptions.update(now.stripe_id, {"cancel_at_period_end": True}))
    else:
        gateway.ask(lambda stripe: stripe.v1.subscriptions.cancel(now.stripe_id))
    refreshing.refresh(customer, by=by)
    now.refresh_from_db()
    history.sign(customer, by, began)
    audit.record(workspace.pk, by, "billing.cancelled", PLANS[now.plan].title if now.plan else "")
    return now.cancel_at


def resume(workspace: Workspace, *, by: str) -> None:
    """Have a subscription go on that was cancelled, or drop the change that was planned.

    Raises: CrossWireError `invalid_input` when it has ended.
    """
    customer, now = _live(workspace)
    _stay(customer, now, by)


def _stay(customer: Customer, now: Subscription, by: str) -> Change:
    if now.scheduled_at is None and now.cancel_at is None and now.confirm_until is None:
        return Change("unchanged", now.plan, now.interval)
    began = clock.now()
    schedules.give_up(now)
    schedules.drop(now)
    schedules.keep(now)
    refreshing.refresh(customer, by=by)
    history.sign(customer, by, began)
    audit.record(customer.workspace_id, by, "billing.resumed", PLANS[now.plan].title if now.plan else "")
    return Change("dropped", now.plan, now.interval)


def _wanted_session(workspace: Workspace, customer: Customer, price: str) -> Any:
    ours = {reading.WORKSPACE: workspace.slug}
    return {
        "mode": "subscription",
        "customer": customer.stripe_id,
        "client_reference_id": workspace.slug,
        "line_items": [{"price": price, "quantity": 1}],
        # Other ways are paid days later: until then nobody would know what the workspace has.
        "allowed_payment_method_types": ["card"],
        "metadata": ours,
        "subscription_data": {"metadata": ours},
        "success_url": page_url(workspace, "/return?session_id={CHECKOUT_SESSION_ID}"),
        "cancel_url": page_url(workspace),
    }


def _is_up(now: Subscription, plan: str, interval: str) -> bool:
    if now.plan == plan:
        return interval == Interval.YEAR
    return applying.RANK[plan] > applying.RANK.get(now.plan, -1)


def _known(workspace: Workspace) -> Customer:
    customer = Customer.objects.filter(workspace=workspace).first()
    if customer is None:
        raise invalid(_NONE)
    return customer


def _live(workspace: Workspace) -> tuple[Customer, Subscription]:
    """Return a workspace's customer and subscription as Stripe has them now."""
    customer = _known(workspace)
    refreshing.refresh(customer)
    found = customer.subscriptions.current()
    if found is None:
        raise OutdatedError(_NONE)
    return customer, found


def _customer(workspace: Workspace, by: str) -> Customer:
    """Return a workspace's customer, made at Stripe if there was none: one however many ask at once."""
    found = Customer.objects.filter(workspace=workspace).first()
    if found is not None:
        return found
    made = _made(workspace, by)
    with writing():
        Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
        if Workspace.objects.filter(pk=workspace.pk, closing_at__isnull=False).exists():
            raise not_found("This workspace was deleted.")
        customer, _ = Customer.objects.get_or_create(
            workspace=workspace, defaults={"stripe_id": made, "workspace_slug": workspace.slug}
        )
    return customer


def _replaced(customer: Customer, by: str) -> Customer:
    """Return the customer under a new id, after the old one was deleted at Stripe."""
    assert customer.workspace is not None
    old = customer.stripe_id
    made = _made(customer.workspace, by, instead_of=old)
    with writing():
        Customer.objects.filter(pk=customer.pk, stripe_id=old).update(stripe_id=made, is_gone=False)
    customer.refresh_from_db()
    return customer


def _made(workspace: Workspace, by: str, instead_of: str = "") -> str:
    """Make a customer at Stripe and return its id, the same however often the same is asked for."""
    wanted: Any = {"name": workspace.name, "email": by, "metadata": {reading.WORKSPACE: workspace.slug}}
    asked = hashlib.sha256(repr((wanted, instead_of)).encode()).hexdigest()
    found = gateway.ask(
        lambda stripe: stripe.v1.customers.create(wanted, {"idempotency_key": f"crosswire-customer-{asked}"})
    )
    return str(found["id"])


def _open_sessions(customer: Customer) -> list[dict[str, Any]]:
    return gateway.ask_all(
        lambda stripe: stripe.v1.checkout.sessions.list(
            {"customer": customer.stripe_id, "status": "open", "limit": SESSIONS}
        ),
        SESSIONS,
    )


def _end_sessions(sessions: list[dict[str, Any]]) -> None:
    for each in sessions:
        try:
            gateway.ask(lambda stripe, session=each: stripe.v1.checkout.sessions.expire(session["id"]))  # type: ignore[misc] # bound now
        except (RefusedError, MissingError):
            continue  # it was paid, or ended, just now


def _last_session(customer: Customer, made: dict[str, Any]) -> dict[str, Any]:
    """Of sessions that were made at the same moment keep one, the same whoever looks: `made` may be ended already."""
    sessions = _open_sessions(customer)
    last = max(sessions or [made], key=lambda each: (each["created"], each["id"]))
    _end_sessions([each for each in sessions if each["id"] != last["id"]])
    return last


def end_sessions(customer: Customer) -> None:
    """End every Checkout session of a customer that is open. Raises: StripeAwayError."""
    _end_sessions(_open_sessions(customer))
