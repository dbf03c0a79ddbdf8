"""What is paid, as operators see it: read alone. Money is moved at Stripe, plans are set on a workspace's page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.html import format_html_join

from accounts.templatetags.pages import ago, moment, number
from billing import history
from billing.models import Customer, Reconciliation, StripeEvent, Subscription
from crosswire.console.marks import badge, link_to
from crosswire.console.rows import ConditionFilter, Rows
from crosswire.lib import clock

CUSTOMER = "cus_"
"""How Stripe's names of customers begin."""


def running() -> QuerySet[Subscription]:
    """Return the subscriptions that count: begun, not ended, and the only one of their workspace."""
    return Subscription.objects.live().filter(is_surplus=False)


def paid() -> Q:
    """Return the condition for a subscription whose payments came."""
    return Q(status__in=Subscription.PAID)


def in_grace() -> Q:
    """Return the condition for one that goes on for now though a payment is missing."""
    return Q(status__in=Subscription.OWING, grace_until__gt=clock.now())


def lapsed() -> Q:
    """Return the condition for one that does not count any more, for nobody paid."""
    return Q(status__in=Subscription.OWING, grace_until__lte=clock.now())


def word(subscription: Subscription) -> str:
    """Return how a subscription stands, in a badge."""
    if subscription.status in Subscription.PAID:
        ends = subscription.cancel_at is not None
        return badge("ends" if ends else "paid", "warn" if ends else "good")
    if subscription.status in Subscription.OWING:
        return badge("in grace", "warn") if subscription.pays_for else badge("not paid", "bad")
    return badge(subscription.get_status_display().lower())


def of(workspaces: Collection[int]) -> dict[int, Subscription]:
    """Return the subscriptions of workspaces by their keys, in one statement."""
    found = running().filter(customer__workspace__in=workspaces).select_related("customer").order_by("-pk")
    return {each.customer.workspace_id: each for each in found if each.customer.workspace_id is not None}


def customers_named(wanted: str) -> Q:
    """Return the condition for a workspace whose customer at Stripe is named so."""
    return Q(Exists(Customer.objects.filter(workspace=OuterRef("pk"), stripe_id=wanted)))


def by_plan() -> list[dict[str, Any]]:
    """Return what is paid for: plan, interval, how many pay, how many are in grace, and what the paid ones come to in a
    month."""
    rows = running().order_by("plan", "interval").values("plan", "interval")
    counted = rows.annotate(
        paying=Count("pk", filter=paid()), grace=Count("pk", filter=in_grace()), cents=Sum("amount", filter=paid())
    )
    return [
        {
            "plan": history.title(each["plan"]),
            "interval": history.INTERVALS.get(each["interval"], each["interval"]),
            "paying": each["paying"],
            "grace": each["grace"],
            "monthly": history.money(round((each["cents"] or 0) / (12 if each["interval"] == "year" else 1))),
        }
        for each in counted
        if each["paying"] or each["grace"]
    ]


class PayingFilter(ConditionFilter):
    """Workspaces, by what is paid for them."""

    title, parameter_name = "payment", "paying"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return the ways."""
        theirs = running().filter(customer__workspace=OuterRef("pk"))
        pays = Q(Exists(theirs.filter(paid() | in_grace())))
        return {
            "yes": ("Paying", Q(Exists(theirs.filter(paid())))),
            "grace": ("In grace", Q(Exists(theirs.filter(in_grace())))),
            "no": ("Not paying", ~pays),
            "given": ("Plan given", ~pays & ~Q(plan="free")),
        }


class SubscriptionFilter(ConditionFilter):
    """Subscriptions, by how they stand."""

    title, parameter_name = "state", "state"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return the ways."""
        live = Q(status__in=Subscription.LIVE)
        return {
            "paid": ("Paid", paid()),
            "grace": ("In grace", in_grace()),
            "lapsed": ("Not paid", lapsed()),
            "ending": ("Ending", live & Q(cancel_at__isnull=False)),
            "over": ("Over", ~live),
        }


class Subscriptions(Rows):
    """Every subscription there was."""

    heading = "Subscriptions"
    list_display = ("subscription", "where", "on_plan", "cost", "state", "period_ends", "grace")
    list_display_links = None
    list_filter = (SubscriptionFilter,)
    ordering = ("-pk",)
    search_fields = ("stripe_id",)
    search_help_text = "A whole id of Stripe's (sub_…, cus_…), or a workspace's slug."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        """Return every one with its workspace."""
        return Subscription.objects.select_related("customer__workspace")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Subscription], search_term: str
    ) -> tuple[QuerySet[Subscription], bool]:
        """Find subscriptions by whole names."""
        wanted = search_term.strip()
        found = Q(stripe_id=wanted) | Q(customer__stripe_id=wanted) | Q(customer__workspace_slug=wanted)
        return (queryset.filter(found) if wanted else queryset), False

    @admin.display(description="subscription")
    def subscription(self, row: Subscription) -> str:
        """Stripe's name of it."""
        return row.stripe_id

    @admin.display(description="workspace")
    def where(self, row: Subscription) -> str:
        """A link to it, while it is there."""
        workspace = row.customer.workspace
        return row.customer.workspace_slug if workspace is None else link_to(workspace, workspace.name)

    @admin.display(description="plan", ordering="plan")
    def on_plan(self, row: Subscription) -> str:
        """What it is for."""
        return history.title(row.plan)

    @admin.display(description="cost", ordering="amount")
    def cost(self, row: Subscription) -> str:
        """How much, how often."""
        return f"{history.money(row.amount)} {history.INTERVALS.get(row.interval, row.interval)}"

    @admin.display(description="state", ordering="status")
    def state(self, row: Subscription) -> str:
        """How it stands."""
        return badge("given back") if row.is_surplus else word(row)

    @admin.display(description="period ends", ordering="current_period_end")
    def period_ends(self, row: Subscription) -> str:
        """When the next payment is due, or it ends."""
        return moment(row.cancel_at or row.current_period_end)

    @admin.display(description="grace until", ordering="grace_until")
    def grace(self, row: Subscription) -> str:
        """How long it goes on without a payment."""
        return moment(row.grace_until)


class EventFilter(ConditionFilter):
    """Events, by what became of them."""

    title, parameter_name = "state", "state"
    CONDITIONS: ClassVar[dict[str, tuple[str, Q]]] = {
        "waiting": ("Waiting", Q(processed_at=None)),
        "failing": ("Failing", Q(processed_at=None) & ~Q(problem="")),
        "odd": ("Handled, with a note", Q(processed_at__isnull=False) & ~Q(problem="")),
    }

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return the ways."""
        return self.CONDITIONS


class Events(Rows):
    """What Stripe told. The bodies are not shown: people's addresses are in them."""

    heading = "Events of Stripe"
    list_display = ("received", "event", "type", "customer", "state", "attempts", "problem")
    list_display_links = None
    list_filter = (EventFilter,)
    ordering = ("-received_at", "-pk")
    search_fields = ("stripe_id",)
    search_help_text = "A whole id of Stripe's (evt_…, cus_…), or the beginning of a type (invoice.)."

    def get_queryset(self, request: HttpRequest) -> QuerySet[StripeEvent]:
        """Return every one, without the body."""
        return StripeEvent.objects.defer("payload")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[StripeEvent], search_term: str
    ) -> tuple[QuerySet[StripeEvent], bool]:
        """Find events by whole names, or by type."""
        wanted = search_term.strip()
        found = Q(stripe_id=wanted) | Q(customer_stripe_id=wanted) | Q(type__startswith=wanted)
        return (queryset.filter(found) if wanted else queryset), False

    @admin.display(description="received", ordering="received_at")
    def received(self, row: StripeEvent) -> str:
        """When it came."""
        return moment(row.received_at)

    @admin.display(description="event")
    def event(self, row: StripeEvent) -> str:
        """Stripe's name of it."""
        return row.stripe_id

    @admin.display(description="customer")
    def customer(self, row: StripeEvent) -> str:
        """Stripe's name of whom it concerns."""
        return row.customer_stripe_id

    @admin.display(description="state")
    def state(self, row: StripeEvent) -> str:
        """What became of it."""
        if row.processed_at is not None:
            return badge("handled", "good")
        return badge("failing", "bad") if row.problem else badge("waiting", "warn")


class Comparisons(Rows):
    """The nightly comparisons with Stripe."""

    heading = "Comparisons with Stripe"
    list_display = ("began", "ended", "looked", "repaired", "what_is_wrong")
    list_display_links = None
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reconciliation]:
        """Return every one."""
        return Reconciliation.objects.all()

    @admin.display(description="began")
    def began(self, row: Reconciliation) -> str:
        """When it began."""
        return moment(row.began_at)

    @admin.display(description="ended")
    def ended(self, row: Reconciliation) -> str:
        """When it was done."""
        return moment(row.finished_at) or f"seen {ago(row.seen_at)}"

    @admin.display(description="customers")
    def looked(self, row: Reconciliation) -> str:
        """How many were compared."""
        return number(row.looked_at)

    @admin.display(description="problems")
    def what_is_wrong(self, row: Reconciliation) -> str:
        """The sentences."""
        return format_html_join("", "<p>{}</p>", ((each,) for each in row.problems))
