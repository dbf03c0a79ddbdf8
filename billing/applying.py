"""Putting into our tables what Stripe says now, and the workspace on the plan that is paid for.

Whoever asks (a webhook, a page, the nightly comparison) reads the whole customer and applies all of it, so that order
and repetition do not matter. Reads may overtake each other: the one that began last wins, for it saw what the others
saw. Nothing is locked while Stripe is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import F

from accounts import audit, plan_changes
from accounts.audit_log import BILLING
from accounts.models import Workspace
from accounts.plans import PLANS
from billing import history
from billing.models import Customer, Invoice, Subscription
from billing.reading import Reading, ReadInvoice, ReadSubscription
from crosswire.lib import clock
from crosswire.lib.database import writing

GRACE = timedelta(days=7)
ACTOR = BILLING
"""How the audit log names who changes plans because of what is paid."""
RANK = {plan: rank for rank, plan in enumerate(PLANS)}
_KEPT = ("item_id", "schedule_id", "status", "created_at", "current_period_end", "cancel_at", "cancel_at_period_end")
_INVOICE = ("subscription_id", "number", "status", "currency", "total", "amount_paid", "attempt_count", "created_at")
_PAGES = ("paid_at", "hosted_url", "pdf_url")


def begin(customer_id: int) -> int:
    """Return the number of a read of Stripe that begins now. Raises: Customer.DoesNotExist."""
    with writing():
        rows = Customer.objects.filter(pk=customer_id)
        rows.update(reads_begun=F("reads_begun") + 1)
        return rows.values_list("reads_begun", flat=True).get()


def apply(customer_id: int, number: int, found: Reading, by: str = "") -> bool:
    """Store what was read under that number; return whether anything changed.

    `by` is the person whose wish this carries out, for the history. A read that began before one that is stored already
    changes nothing.
    """
    with writing():
        customer = locked(customer_id)
        if number <= customer.read_applied or found.stripe_id != customer.stripe_id:
            return False
        before, known = _figures(customer), set(customer.subscriptions.live().values_list("pk", flat=True))
        for each in found.subscriptions:
            _subscription(customer, each, number, by)
        if found.is_gone:
            _end_all(customer)
        _mark_surplus(customer, known)
        if not customer.closing_at:  # of what belonged to people, nothing is kept
            _invoices(customer, found.invoices)
            customer.payment_method, customer.balance = found.payment_method, found.balance
        _note_late(customer, found)
        customer.is_gone = found.is_gone
        customer.read_applied, customer.read_at = number, clock.now()
        customer.save(update_fields=["is_gone", "payment_method", "balance", "read_applied", "read_at"])
        grant(customer)
        return before != _figures(customer)


def locked(customer_id: int) -> Customer:
    """Lock a customer inside a transaction, its workspace first as everybody does, and return it."""
    workspace = Customer.objects.values_list("workspace", flat=True).get(pk=customer_id)
    list(Workspace.objects.select_for_update(no_key=True).filter(pk=workspace))
    return Customer.objects.select_for_update().get(pk=customer_id)


def grant(customer: Customer) -> None:
    """Put the workspace of a locked customer on the plan that is paid for.

    It has at least that; what an operator gave beyond it stays. Billing takes away only what it granted itself.
    """
    workspace = None if customer.closing_at else customer.workspace
    if workspace is None:
        return
    found = [each for each in customer.subscriptions.live() if not each.is_surplus]
    paid = max((each.pays_for for each in found if each.pays_for), key=RANK.__getitem__, default="")
    if paid and RANK[paid] > RANK[workspace.plan]:
        plan_changes.set_plan(workspace, paid, actor=ACTOR, why="it is paid for")
    elif customer.granted_plan == workspace.plan and paid != workspace.plan:
        plan_changes.set_plan(workspace, paid or "free", actor=ACTOR, why=_why(found, paid))
    elif customer.granted_plan != workspace.plan:
        paid = ""  # what it has, or more, was given by an operator
    if customer.granted_plan != paid:
        customer.granted_plan = paid
        customer.save(update_fields=["granted_plan"])


def _why(live: list[Subscription], paid: str) -> str:
    if paid:
        return "the subscription changed"
    return "the payment did not come" if live else "the subscription ended"


def _subscription(customer: Customer, read: ReadSubscription, number: int, by: str) -> None:
    was = Subscription.objects.filter(stripe_id=read.stripe_id).first()
    if was is not None and was.customer_id != customer.pk:
        return  # a customer's subscription never becomes another's
    now = Subscription(pk=was.pk if was else None, customer=customer, stripe_id=read.stripe_id)
    for name in (*_KEPT, "ended_at", "scheduled_at", "confirm_until", "confirm_invoice"):
        setattr(now, name, getattr(read, name))
    now.price_id, now.plan, now.interval = read.price.stripe_id, read.price.plan, read.price.interval
    now.amount = read.price.amount
    if read.scheduled:
        to = read.scheduled
        now.scheduled_price_id, now.scheduled_plan, now.scheduled_interval = to.stripe_id, to.plan, to.interval
    now.is_surplus, now.refunded_at = (was.is_surplus, was.refunded_at) if was else (False, None)
    _keep_grace(was, now)
    now.save()
    _tell(customer, was, now, f"{now.stripe_id}#{number}", {"by": by, "why": read.ended_because})


def _keep_grace(was: Subscription | None, now: Subscription) -> None:
    """Begin the grace when a payment is first seen to be missing: whoever is told late has as long. It ends when the
    payment came."""
    if now.status not in Subscription.OWING:
        return
    now.past_due_since = (was and was.past_due_since) or clock.now()
    now.grace_until = (was and was.grace_until) or now.past_due_since + GRACE
    if now.grace_until <= clock.now():
        now.grace_ended_at = (was and was.grace_ended_at) or clock.now()


def _tell(customer: Customer, was: Subscription | None, now: Subscription, about: str, told: Mapping[str, str]) -> None:
    """Record what became of a subscription since it was read last. `told`: `by` whose wish, and `why` it ended."""
    details = _own(now)
    own = {**details, **({"by": told["by"]} if told["by"] else {})}
    is_other = was is None or was.status != now.status
    if is_other and (now.is_live or now.status == Subscription.Status.CANCELED):
        history.record(customer, "subscribed", now.stripe_id, details, now.created_at)
    if now.status == Subscription.Status.CANCELED:
        if is_other and not now.is_surplus:
            history.record(customer, "ended", now.stripe_id, {**details, "why": told["why"]}, now.ended_at)
        return
    _tell_of_payment(customer, was, now, about, details)
    if was is None:
        return
    if was.price_id != now.price_id:
        history.record(customer, _kind_of_change(was, now), about, {**own, "before": was.plan})
    elif was.scheduled_price_id != now.scheduled_price_id:
        _tell_of_schedule(customer, now, about, own)
    if was.cancel_at is None and now.cancel_at is not None:
        history.record(customer, "cancel_scheduled", about, {**own, "on": clock.iso(now.cancel_at)})
    elif was.cancel_at is not None and now.cancel_at is None:
        history.record(customer, "resumed", about, own)


def _own(subscription: Subscription) -> dict[str, str]:
    return {"plan": subscription.plan, "interval": subscription.interval}


def _kind_of_change(was: Subscription, now: Subscription) -> str:
    if was.plan == now.plan:
        return "interval_changed"
    return "upgraded" if RANK.get(now.plan, -1) > RANK.get(was.plan, -1) else "downgraded"


def _tell_of_schedule(customer: Customer, now: Subscription, about: str, own: dict[str, str]) -> None:
    if now.scheduled_at is None:
        history.record(customer, "change_dropped", about, own)
        return
    to = {"plan": now.scheduled_plan, "interval": now.scheduled_interval}
    history.record(customer, "change_scheduled", about, {**own, **to, "on": clock.iso(now.scheduled_at)})


def _tell_of_payment(
    customer: Customer, was: Subscription | None, now: Subscription, about: str, details: dict[str, str]
) -> None:
    was_missing = was is not None and was.grace_until is not None
    if now.grace_until is not None and not was_missing:
        history.record(customer, "payment_failed", about, {**details, "on": clock.iso(now.grace_until)})
    if now.grace_until is not None and now.grace_ended_at is not None:
        history.record(customer, "grace_over", f"{now.stripe_id}#{clock.iso(now.grace_until)}", details)
    if was_missing and now.status in Subscription.PAID:
        history.record(customer, "back" if was and was.grace_ended_at else "recovered", about, details)


def _end_all(customer: Customer) -> None:
    """End what a customer had that was deleted at Stripe, which ends its subscriptions."""
    for each in customer.subscriptions.live():
        each.status, each.ended_at = Subscription.Status.CANCELED, clock.now()
        each.past_due_since = each.grace_until = each.grace_ended_at = None
        each.cancel_at = each.scheduled_at = each.confirm_until = None
        each.scheduled_price_id = each.scheduled_plan = each.scheduled_interval = each.confirm_invoice = ""
        each.save()
        history.record(customer, "ended", each.stripe_id, {**_own(each), "why": "customer_deleted"}, each.ended_at)


def _invoices(customer: Customer, found: list[ReadInvoice]) -> None:
    names = [each.stripe_id for each in found]
    stored = {each.stripe_id: each for each in Invoice.objects.filter(stripe_id__in=names)}
    for read in found:
        was = stored.get(read.stripe_id)
        own = {name: getattr(read, name) for name in (*_INVOICE, *_PAGES)}
        if was is not None and (was.customer_id != customer.pk or all(getattr(was, key) == own[key] for key in own)):
            continue
        Invoice.objects.update_or_create(stripe_id=read.stripe_id, defaults={**own, "customer": customer})
        if read.status == "paid":
            _tell_of_invoice(customer, read)


def _tell_of_invoice(customer: Customer, read: ReadInvoice) -> None:
    """Record what an invoice took: money, credit that was left over, or neither since it left some."""
    details = {"amount": read.amount_paid, "currency": read.currency, "number": read.number}
    credit = read.total - read.amount_paid
    if read.amount_paid > 0:
        history.record(
            customer, "paid", read.stripe_id, details | ({"credit": credit} if credit > 0 else {}), read.paid_at
        )
    elif read.total > 0:
        history.record(customer, "paid_of_credit", read.stripe_id, {**details, "amount": read.total}, read.paid_at)
    elif read.total < 0:
        history.record(customer, "credited", read.stripe_id, {**details, "amount": -read.total}, read.paid_at)


def _note_late(customer: Customer, found: Reading) -> None:
    """Tell the operator of what was paid though the subscription had ended: it buys nothing."""
    ended = {each.stripe_id: each.ended_at for each in found.subscriptions if each.price.plan and each.ended_at}
    for read in found.invoices:
        ended_at = ended.get(read.subscription_id)
        if ended_at is None or read.paid_at is None or read.paid_at <= ended_at or read.amount_paid <= 0:
            continue
        details = {"amount": read.amount_paid, "currency": read.currency, "number": read.number}
        if history.record(customer, "paid_late", read.stripe_id, details, read.paid_at):
            told = history.money(read.amount_paid, read.currency)
            audit.record(customer.workspace_id, ACTOR, "billing.paid_late", told)


def _mark_surplus(customer: Customer, known: set[int]) -> None:
    """Of several subscriptions to our plans keep one: a paid one, of the higher plan, by the year, the older one.

    What an operator sells to the same customer beside them is not ours to end. After the workspace is gone none is
    kept; what was not `known` to have begun by then is surplus, which is given back.
    """
    live = [each for each in customer.subscriptions.live() if not each.is_surplus]
    if customer.closing_at:
        surplus = [each for each in live if each.pk not in known]
    else:
        surplus = sorted((each for each in live if each.plan), key=_worth)[:-1]
    for each in surplus:
        each.is_surplus = True
        each.save(update_fields=["is_surplus"])
        history.record(customer, "surplus", each.stripe_id, _own(each))
        audit.record(customer.workspace_id, ACTOR, "billing.surplus", history.title(each.plan))


def _worth(each: Subscription) -> tuple[bool, int, bool, float, str]:
    is_paid = each.status in Subscription.PAID
    return is_paid, RANK.get(each.plan, -1), each.interval == "year", -each.created_at.timestamp(), each.stripe_id


def _figures(customer: Customer) -> tuple[object, ...]:
    """Return what the last read left, to see whether another changes it."""
    subscriptions = customer.subscriptions.order_by("pk").values_list(
        *("price_id", "status", "current_period_end", "cancel_at", "scheduled_at"),
        *("confirm_until", "grace_until", "is_surplus"),
    )
    invoices = customer.invoices.order_by("pk").values_list("stripe_id", "status", "amount_paid")
    plan = Workspace.objects.filter(customer=customer).values_list("plan", flat=True).first()
    return list(subscriptions), list(invoices), plan, customer.is_gone
