"""What Stripe says of a customer now, read as a whole and put into our own words.

The shapes are those of the SDK's API version: `current_period_end` stands on the subscription's item, an invoice names
its subscription under `parent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from accounts.plans import PLANS
from billing import gateway
from billing.gateway import Answer
from billing.models import Interval

PLAN, WORKSPACE = "crosswire_plan", "crosswire_workspace"
"""Names of metadata: on prices and products the plan, on customers, sessions and subscriptions the workspace's slug."""
INVOICES = 24
"""How many invoices we keep, the newest."""
SUBSCRIPTIONS = 100


@dataclass(frozen=True, slots=True)
class Price:
    """A price; `plan` is "" when it is none of ours."""

    stripe_id: str
    plan: str
    interval: str
    amount: int


@dataclass(frozen=True, slots=True)
class ReadSubscription:
    """A subscription. `scheduled` is the price it changes to at `scheduled_at`; until `confirm_until` another change
    waits for the payment of `confirm_invoice` to be confirmed; `ended_because` is Stripe's reason, such as
    `payment_failed`."""

    stripe_id: str
    item_id: str
    price: Price
    status: str
    created_at: datetime
    current_period_end: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: bool
    ended_at: datetime | None
    schedule_id: str
    scheduled: Price | None
    scheduled_at: datetime | None
    payment_method: str
    workspace_slug: str
    confirm_until: datetime | None = None
    confirm_invoice: str = ""
    ended_because: str = ""


@dataclass(frozen=True, slots=True)
class ReadInvoice:
    """An invoice. `total` is below zero where more was given back than asked for."""

    stripe_id: str
    subscription_id: str
    number: str
    status: str
    currency: str
    total: int
    amount_paid: int
    attempt_count: int
    created_at: datetime
    paid_at: datetime | None
    hosted_url: str
    pdf_url: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A customer with everything of theirs, at one moment. `balance` in cents, below zero where it is credit."""

    stripe_id: str
    is_gone: bool
    payment_method: str
    subscriptions: list[ReadSubscription]
    invoices: list[ReadInvoice]
    balance: int = 0


def gone(customer: str) -> Reading:
    """Return what there is of a customer that was deleted."""
    return Reading(customer, True, "", [], [])


def read(customer: str) -> Reading:
    """Return what Stripe says of a customer, which it does of a deleted one too. Raises: StripeAwayError; MissingError
    for one that it never had."""
    found = gateway.ask(lambda stripe: stripe.v1.customers.retrieve(customer))
    if found.get("deleted"):
        return gone(customer)
    subscriptions = gateway.ask_all(
        lambda stripe: stripe.v1.subscriptions.list(
            {
                "customer": customer,
                "status": "all",
                "limit": SUBSCRIPTIONS,
                "expand": ["data.schedule", "data.default_payment_method"],
            }
        ),
        SUBSCRIPTIONS,
    )
    invoices = gateway.ask_all(
        lambda stripe: stripe.v1.invoices.list({"customer": customer, "limit": INVOICES}), INVOICES
    )
    read_ones = [_subscription(each, _to_confirm(each, invoices)) for each in subscriptions]
    ordered = sorted(read_ones, key=lambda each: each.created_at)
    method = _method(found, ordered)
    sent = [_invoice(each) for each in invoices]
    return Reading(customer, False, method, ordered, sent, int(found.get("balance") or 0))


def _method(customer: Answer, subscriptions: list[ReadSubscription]) -> str:
    """Return how is paid, in words: as the newest subscription that goes on says, else the customer."""
    own = [each.payment_method for each in subscriptions if each.ended_at is None and each.payment_method]
    default = id_of((customer.get("invoice_settings") or {}).get("default_payment_method"))
    if own or not default:
        return own[-1] if own else ""
    return _in_words(gateway.ask(lambda stripe: stripe.v1.payment_methods.retrieve(default)))


def price_of(answer: Answer) -> Price:
    """Return a price of Stripe's in our words. Metadata says what plan it is for; an old price keeps it."""
    plan = (answer.get("metadata") or {}).get(PLAN, "")
    interval = (answer.get("recurring") or {}).get("interval", "")
    is_ours = plan in PLANS and interval in Interval.values
    return Price(
        answer["id"], plan if is_ours else "", interval if is_ours else "", int(answer.get("unit_amount") or 0)
    )


def id_of(value: Any) -> str:
    """Return the id of an object that may stand expanded, or not at all."""
    return str(value["id"]) if isinstance(value, dict) else str(value or "")


def moment(seconds: int | None) -> datetime | None:
    """Return a time of Stripe's."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _to_confirm(subscription: Answer, invoices: list[Answer]) -> Answer | None:
    """Return the open invoice of the change that waits for its payment, if one does."""
    if not subscription.get("pending_update"):
        return None
    for each in invoices:
        is_its = _billed_for(each) == subscription["id"]
        if is_its and each.get("status") == "open" and each.get("billing_reason") == "subscription_update":
            return each
    return None


def _subscription(answer: Answer, to_confirm: Answer | None) -> ReadSubscription:
    item = answer["items"]["data"][0]
    period_end = moment(item.get("current_period_end"))
    cancel_at = moment(answer.get("cancel_at")) or (period_end if answer.get("cancel_at_period_end") else None)
    schedule = answer.get("schedule") if isinstance(answer.get("schedule"), dict) else None
    scheduled, scheduled_at = _scheduled(schedule, item["price"]["id"]) if schedule else (None, None)
    if schedule and schedule.get("end_behavior") == "cancel" and cancel_at is None:
        cancel_at = moment(schedule["phases"][-1]["end_date"])
    return ReadSubscription(
        stripe_id=answer["id"],
        item_id=item["id"],
        price=price_of(item["price"]),
        status=answer["status"],
        created_at=datetime.fromtimestamp(answer["created"], UTC),
        current_period_end=period_end,
        cancel_at=cancel_at,
        cancel_at_period_end=bool(answer.get("cancel_at_period_end")),
        ended_at=moment(answer.get("ended_at")),
        schedule_id=id_of(answer.get("schedule")),
        scheduled=scheduled,
        scheduled_at=scheduled_at,
        payment_method=_in_words(answer.get("default_payment_method")),
        workspace_slug=(answer.get("metadata") or {}).get(WORKSPACE, ""),
        confirm_until=moment(answer["pending_update"]["expires_at"]) if to_confirm else None,
        confirm_invoice=to_confirm["id"] if to_confirm else "",
        ended_because=(answer.get("cancellation_details") or {}).get("reason") or "",
    )


def _scheduled(schedule: Answer, price_now: str) -> tuple[Price | None, datetime | None]:
    """Return what a schedule changes the price to, and when."""
    begins = (schedule.get("current_phase") or {}).get("end_date")
    for phase in schedule.get("phases") or []:
        if begins is not None and phase["start_date"] >= begins:
            price = id_of(phase["items"][0]["price"])
            if price != price_now:
                found = gateway.ask(lambda stripe, price=price: stripe.v1.prices.retrieve(price))  # type: ignore[misc] # bound now
                return price_of(found), moment(phase["start_date"])
    return None, None


def _invoice(answer: Answer) -> ReadInvoice:
    times = answer.get("status_transitions") or {}
    return ReadInvoice(
        stripe_id=answer["id"],
        subscription_id=_billed_for(answer),
        number=answer.get("number") or "",
        status=answer.get("status") or "",
        currency=answer.get("currency") or "usd",
        total=int(answer.get("total") or 0),
        amount_paid=int(answer.get("amount_paid") or 0),
        attempt_count=int(answer.get("attempt_count") or 0),
        created_at=datetime.fromtimestamp(answer["created"], UTC),
        paid_at=moment(times.get("paid_at")),
        hosted_url=answer.get("hosted_invoice_url") or "",
        pdf_url=answer.get("invoice_pdf") or "",
    )


def _billed_for(invoice: Answer) -> str:
    """Return the id of the subscription an invoice belongs to, "" where it is to none."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return id_of(details.get("subscription"))


def _in_words(method: Any) -> str:
    """Return a way to pay as people know it: `Visa ending in 4242, until 12/2030`."""
    if not isinstance(method, dict):
        return ""
    kind = str(method.get("type") or "")
    card = method.get("card") or {}
    if kind != "card" or not card:
        return kind.replace("_", " ").capitalize()
    brand = str(card.get("display_brand") or card.get("brand") or "card").replace("_", " ").title()
    return f"{brand} ending in {card.get('last4')}, until {int(card['exp_month']):02}/{card['exp_year']}"
