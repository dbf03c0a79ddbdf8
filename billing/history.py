"""What happened to a workspace's plan and payments, in words: stored once each, told by mail to who wants to know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from accounts.plans import PLANS
from billing.models import Customer, Happening
from crosswire.lib import clock, jobs
from crosswire.lib.database import writing

_TASK = "billing.tasks.tell"
_WHOLE = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
_THOUSANDTHS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
"""Currencies without cents, and with thousandths, as Stripe counts them; a payment may be in any."""


class Told(StrEnum):
    """Who is mailed about it."""

    NOBODY = "nobody"
    PEOPLE = "people"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of happening: words with `{details}`, and who is mailed."""

    words: str
    told: Told = Told.NOBODY


KINDS: dict[str, Kind] = {
    "subscribed": Kind("{plan}, paid {interval}, began", Told.PEOPLE),
    "upgraded": Kind("Changed from {before} to {plan}, paid {interval}", Told.PEOPLE),
    "downgraded": Kind("Changed from {before} to {plan}, paid {interval}", Told.PEOPLE),
    "interval_changed": Kind("{plan} is paid {interval} now", Told.PEOPLE),
    "change_scheduled": Kind("Will change to {plan}, paid {interval}, on {on}", Told.PEOPLE),
    "change_dropped": Kind("Will stay on {plan}, paid {interval}"),
    "cancel_scheduled": Kind("Cancelled: {plan} ends on {on}", Told.PEOPLE),
    "resumed": Kind("{plan} goes on after all"),
    "ended": Kind("{plan} ended{why}", Told.PEOPLE),
    "paid": Kind("Paid {amount}"),
    "paid_of_credit": Kind("Paid {amount} of credit"),
    "credited": Kind("{amount} is kept as credit for the next invoices"),
    "payment_failed": Kind("A payment failed; {plan} goes on until {on}", Told.PEOPLE),
    "grace_ending": Kind("The payment is still missing; {plan} goes on until {on}", Told.PEOPLE),
    "grace_over": Kind("The payment did not come: {plan} is on hold", Told.PEOPLE),
    "recovered": Kind("The missing payment came: {plan} goes on", Told.PEOPLE),
    "back": Kind("The missing payment came: {plan} is back", Told.PEOPLE),
    "handed_over": Kind("Handed over to {to}; {plan} goes on being paid the same way", Told.PEOPLE),
    "paid_late": Kind("{amount} was paid though the subscription had ended", Told.OPERATOR),
    "surplus": Kind("A second subscription was ended, and what was paid for it given back", Told.PEOPLE),
    "refunded": Kind("Given back: {amount}", Told.OPERATOR),
    "refund_failed": Kind("Giving back {amount} failed", Told.OPERATOR),
    "dispute_opened": Kind("The bank was asked to take back {amount}", Told.OPERATOR),
    "dispute_closed": Kind("The question about {amount} is closed: {outcome}", Told.OPERATOR),
}
_WANTED = (
    *("upgraded", "downgraded", "interval_changed", "change_scheduled", "change_dropped", "cancel_scheduled"),
    *("resumed", "ended"),
)
ENDED_BECAUSE = {
    "payment_failed": "the payment did not come",
    "payment_disputed": "a payment was disputed",
    "cancellation_requested": "it was cancelled",
    "customer_deleted": "the customer was deleted at Stripe",
}
"""Why a subscription ended, by Stripe's reason and one of ours."""
_STEP = "change_dropped"
"""What is no news beside what it was done for."""
_PEOPLE = ("by", "to")
"""Where details name a person."""
INTERVALS = {"month": "monthly", "year": "yearly"}


def record(customer: Customer, kind: str, about: str, details: Mapping[str, Any], at: datetime | None = None) -> bool:
    """Store that something happened; return whether it was news. Times in `details` as `clock.iso` writes them."""
    told = KINDS[kind].told
    found, is_new = Happening.objects.get_or_create(
        customer=customer,
        kind=kind,
        about=about,
        defaults={
            "at": at or clock.now(),
            "details": dict(details),
            "told_at": clock.now() if told is Told.NOBODY else None,
        },
    )
    if is_new and told is not Told.NOBODY:
        jobs.queue(_TASK, found.pk)
    return is_new


def sign(customer: Customer, by: str, since: datetime) -> None:
    """Say who wanted what a customer's subscription came to since then, whoever heard of it first, and leave out steps
    on the way there."""
    with writing():
        list(Customer.objects.select_for_update().filter(pk=customer.pk))
        found = Happening.objects.filter(customer=customer, at__gte=since)
        wanted = list(found.filter(kind__in=_WANTED).order_by("pk"))
        if any(each.kind != _STEP for each in wanted):
            found.filter(kind=_STEP).delete()
            wanted = [each for each in wanted if each.kind != _STEP]
        for each in wanted:
            if not each.details.get("by"):
                each.details["by"] = by
                each.save(update_fields=["details"])


def forget(address: str, nobody: str) -> None:
    """Put nobody in the place of somebody's address, wherever they did something or something was handed to them."""
    for name in _PEOPLE:
        for each in Happening.objects.filter(**{f"details__{name}__iexact": address}):
            each.details[name] = nobody
            with writing():
                each.save(update_fields=["details"])


def words(happening: Happening) -> str:
    """Return what happened, in words."""
    kind = KINDS.get(happening.kind)
    details = {name: _plainly(name, value) for name, value in happening.details.items()}
    if "amount" in details:
        details["amount"] = money(int(happening.details["amount"]), str(happening.details.get("currency", "usd")))
    why = ENDED_BECAUSE.get(str(happening.details.get("why", "")))
    details["why"] = f": {why}" if why else ""
    if "credit" in details:
        details["amount"] += (
            f", with {money(int(details['credit']), str(happening.details.get('currency', 'usd')))} of credit"
        )
    by = f", by {happening.details['by']}" if happening.details.get("by") else ""
    return (kind.words if kind else happening.kind).format_map(defaultdict(lambda: "…", details)) + by


def money(amount: int, currency: str = "usd") -> str:
    """Return an amount in the currency's smallest unit as people write it: `$9.00`, `9.00 EUR`, `900 JPY`."""
    places = 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2
    sign, figure = "-" if amount < 0 else "", f"{abs(amount) / 10**places:,.{places}f}"
    return f"{sign}${figure}" if currency == "usd" else f"{sign}{figure} {currency.upper()}"


def title(plan: str) -> str:
    """Return a plan's name for people."""
    return PLANS[plan].title if plan in PLANS else "A plan of its own"


def newest(customer: Customer, most: int = 50) -> list[Happening]:
    """Return what happened, newest first."""
    return list(Happening.objects.filter(customer=customer).order_by("-at", "-pk")[:most])


def _plainly(name: str, value: Any) -> str:
    if name in ("plan", "before"):
        return title(str(value))
    if name == "interval":
        return INTERVALS.get(str(value), str(value))
    if name == "on":
        moment = datetime.fromisoformat(str(value))
        return f"{moment.day} {moment:%B %Y}"
    return str(value)
