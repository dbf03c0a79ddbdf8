"""How a workspace stands: what pages show of its plan and payments. From our own tables; Stripe is never asked, but by
`next_invoice`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from accounts.models import Workspace
from accounts.paid import Paid
from accounts.plans import PLANS, Plan
from billing import gateway, history, owners
from billing.models import Customer, Happening, Invoice, Subscription
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A change that will come."""

    plan: Plan
    interval: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, in words."""

    at: datetime
    words: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class NextInvoice:
    """What will be asked for next; `amount` in cents, and `credit` what of a credit is taken for it."""

    amount: int
    currency: str
    at: datetime | None
    credit: int = 0

    @property
    def words(self) -> str:
        """The amount as people write it."""
        return history.money(self.amount, self.currency)

    @property
    def total_words(self) -> str:
        """What it is before the credit is taken, as people write it."""
        return history.money(self.amount + self.credit, self.currency)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a workspace stands.

    `plan` is in force. `paid` is what the subscription is for (None without one), `interval` `month`, `year` or "";
    `status` as Stripe has it, "" without a subscription. `renews_at`: when the period ends. `cancels_at`: when the
    subscription ends of itself. `confirm_until`: how long a change waits for the bank's confirmation. `grace_until`:
    how long the plan goes on though a payment is missing; once that is past and nobody paid, `is_lapsed`. `card_of`:
    the address of the former owner whose card pays. `credit`, in cents, pays the next invoices. `is_given`: an
    operator gave the plan, or more than is paid for.
    """

    plan: Plan
    paid: Plan | None = None
    interval: str = ""
    amount: int = 0
    status: str = ""
    renews_at: datetime | None = None
    cancels_at: datetime | None = None
    scheduled: Scheduled | None = None
    confirm_until: datetime | None = None
    confirm_invoice: str = ""
    grace_until: datetime | None = None
    is_lapsed: bool = False
    is_given: bool = False
    payment_method: str = ""
    card_of: str = ""
    credit: int = 0
    invoices: list[Invoice] = field(default_factory=list)
    history: list[Entry] = field(default_factory=list)
    is_configured: bool = False
    is_demo: bool = False

    @property
    def ended(self) -> str:
        """How the last subscription ended, in words; "" where none has, or while there is another."""
        found = next((each.words for each in self.history if each.kind == "ended"), "")
        return "" if self.is_subscribed else found

    @property
    def is_subscribed(self) -> bool:
        """Whether there is a subscription, paid or not: its plan is changed, no other is bought."""
        return bool(self.status)

    @property
    def may_stay(self) -> bool:
        """Whether something is planned, or waits, that staying would drop."""
        return bool(self.cancels_at or self.scheduled or self.confirm_until)

    @property
    def is_reduced(self) -> bool:
        """Whether an operator set a smaller plan than is paid for; billing puts that right within a day."""
        is_paid = self.status in Subscription.PAID or self.is_in_grace
        return is_paid and self.paid is not None and Paid(self.paid.name).is_larger_than(self.plan.name)

    @property
    def is_in_grace(self) -> bool:
        """Whether a payment is missing and the plan goes on for now."""
        return self.grace_until is not None and not self.is_lapsed

    @property
    def to_confirm(self) -> Invoice | None:
        """The invoice whose payment the bank wants confirmed; its `hosted_url` is where."""
        found = (each for each in self.invoices if each.stripe_id == self.confirm_invoice and each.status == "open")
        return next(found, None) if self.confirm_until else None

    @property
    def open_invoice(self) -> Invoice | None:
        """The newest invoice that waits to be paid; its `hosted_url` is where."""
        return next((each for each in self.invoices if each.status == "open" and not each.is_dead), None)


def of(workspace: Workspace, *, is_short: bool = False) -> Standing:
    """Return how a workspace stands. `is_short`: without invoices and history, for a banner; at most two statements."""
    customer = Customer.objects.filter(workspace=workspace).first()
    plan = PLANS[workspace.plan]
    if customer is None:
        given = workspace.plan != "free"
        return Standing(plan, is_given=given, is_configured=gateway.is_configured(), is_demo=gateway.is_demo())
    now = customer.subscriptions.current()
    newest = [] if is_short else history.newest(customer)
    return Standing(
        plan=plan,
        is_given=workspace.plan not in ("free", customer.granted_plan),
        payment_method=customer.payment_method,
        credit=max(0, -customer.balance),
        invoices=[] if is_short else invoices(customer),
        card_of=owners.card_of(customer, newest),
        history=[_entry(each) for each in newest],
        is_configured=gateway.is_configured(),
        is_demo=gateway.is_demo(),
        **({} if now is None else _of_subscription(now)),  # type: ignore[arg-type] # by name
    )


def invoices(customer: Customer, most: int = 24) -> list[Invoice]:
    """Return the newest invoices that were sent, newest first: no drafts."""
    sent = list(customer.invoices.exclude(status__in=("", "draft")).order_by("-created_at", "-pk")[:most])
    over = customer.subscriptions.exclude(ended_at=None).exclude(plan="")
    ended = set(over.values_list("stripe_id", flat=True))
    for each in sent:
        each.is_dead = each.subscription_id in ended
    return sent


def next_invoice(workspace: Workspace) -> NextInvoice | None:
    """Return what will be asked for next, asking Stripe for two seconds at most; None where nothing will be, or while
    Stripe does not answer."""
    found = Subscription.objects.filter(customer__workspace=workspace).current()
    if found is None or found.cancel_at is not None:
        return None
    try:
        preview = gateway.ask(
            lambda stripe: stripe.v1.invoices.create_preview({"subscription": found.stripe_id}), hurried=True
        )
    except CrossWireError:
        return None
    due, total = int(preview["amount_due"]), int(preview["total"])
    return NextInvoice(due, preview["currency"], found.current_period_end, max(0, total - due))


def _of_subscription(now: Subscription) -> dict[str, object]:
    is_planned = now.scheduled_at is not None and now.scheduled_plan in PLANS
    return {
        "paid": PLANS.get(now.plan),
        "interval": now.interval,
        "amount": now.amount,
        "status": now.status,
        "renews_at": now.current_period_end,
        "cancels_at": now.cancel_at,
        "confirm_until": now.confirm_until if now.confirm_until and now.confirm_until > clock.now() else None,
        "confirm_invoice": now.confirm_invoice,
        "scheduled": Scheduled(PLANS[now.scheduled_plan], now.scheduled_interval, now.scheduled_at)
        if is_planned and now.scheduled_at
        else None,
        "grace_until": now.grace_until,
        "is_lapsed": now.grace_until is not None and now.grace_until <= clock.now(),
    }


def _entry(happening: Happening) -> Entry:
    return Entry(happening.at, history.words(happening), happening.kind)
