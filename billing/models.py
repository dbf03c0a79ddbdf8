"""What Stripe said last, and what happened: the product answers from these tables alone, never from Stripe.

Everything is stored by Stripe's ids. `Customer` is the row that is locked while any of it changes.
"""

from __future__ import annotations

from django.db import models

from accounts.models import Workspace
from crosswire.lib import clock

STRIPE_ID = 255
"""How long an id of Stripe's may be, as its documentation says."""


class Interval(models.TextChoices):
    """How often is paid."""

    MONTH = "month"
    YEAR = "year"


class Customer(models.Model):
    """A workspace at Stripe. Outlives its workspace: `closing_at` is when that was deleted, `closed_at` when the last
    subscription was known to have ended.

    Reads of Stripe may overtake each other: each takes a number from `reads_begun` first, and what it found is applied
    only while `read_applied` is smaller. `granted_plan` is the plan that billing has put the workspace on, "" when it
    has not: only that does it ever take away.
    """

    workspace = models.OneToOneField(Workspace, models.SET_NULL, null=True, blank=True, related_name="customer")
    workspace_slug = models.CharField(max_length=32)
    stripe_id = models.CharField(max_length=STRIPE_ID, unique=True)
    granted_plan = models.CharField(max_length=20, blank=True)
    payment_method = models.CharField(max_length=120, blank=True)
    balance = models.IntegerField(
        default=0, db_default=0, help_text="In cents; below zero it is credit, which pays the next invoices."
    )
    is_gone = models.BooleanField(default=False, help_text="Somebody deleted it at Stripe.")
    reads_begun = models.PositiveBigIntegerField(default=0)
    read_applied = models.PositiveBigIntegerField(default=0)
    read_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    closing_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (
            models.Index(
                fields=["closing_at"],
                name="customer_to_close",
                condition=models.Q(closing_at__isnull=False, closed_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return self.stripe_id


class SubscriptionQuery(models.QuerySet["Subscription"]):
    """Subscriptions."""

    def live(self) -> SubscriptionQuery:
        """Return those that have begun and not ended, whether or not they are paid."""
        return self.filter(status__in=Subscription.LIVE)

    def current(self) -> Subscription | None:
        """Return the one that pages are about: one to a plan of ours before any other."""
        kept = self.live().filter(is_surplus=False).alias(is_other=models.Q(plan=""))
        return kept.order_by("is_other", "pk").first()


class Subscription(models.Model):
    """A subscription, kept when it has ended. `plan` is "" when its price is none of ours.

    `cancel_at`: when it ends of itself (`cancel_at_period_end`: by that rule, not by a date). `scheduled_…`: what it
    changes to, and when. `confirm_until`: how long a change waits for the bank's confirmation of its payment, which
    `confirm_invoice` asks for. `grace_until`: how long an unpaid one still counts, `grace_ended_at`: when that was
    seen to be over. `is_surplus`: there was another already, so it is ended and what was paid for it given back.
    """

    class Status(models.TextChoices):
        """As Stripe names them."""

        INCOMPLETE = "incomplete"
        INCOMPLETE_EXPIRED = "incomplete_expired"
        TRIALING = "trialing"
        ACTIVE = "active"
        PAST_DUE = "past_due"
        UNPAID = "unpaid"
        PAUSED = "paused"
        CANCELED = "canceled"

    PAID = (Status.TRIALING, Status.ACTIVE)
    OWING = (Status.PAST_DUE, Status.UNPAID)
    LIVE = (*PAID, *OWING, Status.PAUSED)

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="subscriptions")
    stripe_id = models.CharField(max_length=STRIPE_ID, unique=True)
    item_id = models.CharField(max_length=STRIPE_ID, blank=True)
    price_id = models.CharField(max_length=STRIPE_ID, blank=True)
    schedule_id = models.CharField(max_length=STRIPE_ID, blank=True)
    plan = models.CharField(max_length=20, blank=True)
    interval = models.CharField(max_length=8, blank=True, choices=Interval.choices)
    amount = models.PositiveIntegerField(default=0, help_text="In cents, for one interval.")
    status = models.CharField(max_length=20, choices=Status.choices)
    created_at = models.DateTimeField()
    current_period_end = models.DateTimeField(null=True, blank=True)
    cancel_at = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    scheduled_price_id = models.CharField(max_length=STRIPE_ID, blank=True)
    scheduled_plan = models.CharField(max_length=20, blank=True)
    scheduled_interval = models.CharField(max_length=8, blank=True, choices=Interval.choices)
    scheduled_at = models.DateTimeField(null=True, blank=True)
    confirm_until = models.DateTimeField(null=True, blank=True)
    confirm_invoice = models.CharField(max_length=STRIPE_ID, blank=True)
    past_due_since = models.DateTimeField(null=True, blank=True)
    grace_until = models.DateTimeField(null=True, blank=True)
    grace_ended_at = models.DateTimeField(null=True, blank=True)
    is_surplus = models.BooleanField(default=False)
    refunded_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(default=clock.now)

    objects = SubscriptionQuery.as_manager()

    class Meta:
        indexes = (
            models.Index(
                fields=["grace_until"],
                name="subscription_in_grace",
                condition=models.Q(grace_until__isnull=False, grace_ended_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.plan} ({self.stripe_id})"

    @property
    def is_live(self) -> bool:
        """Whether it has begun and not ended."""
        return self.status in self.LIVE

    @property
    def pays_for(self) -> str:
        """The plan it stands for now; "" while nobody pays, and the grace is over."""
        if self.status in self.PAID:
            return self.plan
        if self.status in self.OWING and self.grace_until is not None and clock.now() < self.grace_until:
            return self.plan
        return ""


class Invoice(models.Model):
    """An invoice. Amounts are in cents of `currency`. `is_dead`, where asked for: its subscription has ended, so
    that to pay it buys nothing."""

    is_dead = False

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="invoices")
    stripe_id = models.CharField(max_length=STRIPE_ID, unique=True)
    subscription_id = models.CharField(max_length=STRIPE_ID, blank=True)
    number = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=20, blank=True, help_text="draft, open, paid, uncollectible or void.")
    currency = models.CharField(max_length=3, default="usd")
    total = models.IntegerField(default=0, help_text="Below zero where more was given back than asked for.")
    amount_paid = models.IntegerField(default=0)
    attempt_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)
    hosted_url = models.TextField(blank=True, help_text="Stripe's page, where it can be paid.")
    pdf_url = models.TextField(blank=True)

    class Meta:
        indexes = (models.Index(fields=["customer", "-created_at"], name="invoice_newest"),)

    def __str__(self) -> str:
        return self.number or self.stripe_id


class Happening(models.Model):
    """Something that happened, once: the history that people read. billing/history.py has the words.

    `about` names it within its kind, so that it is stored once however often it is heard of. `told_at`: when who wants
    to know was mailed; null while nobody was, of a kind that is told.
    """

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="happenings")
    kind = models.CharField(max_length=30)
    about = models.CharField(max_length=STRIPE_ID)
    at = models.DateTimeField(default=clock.now)
    details = models.JSONField(default=dict, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["customer", "kind", "about"], name="happening_once"),)
        indexes = (
            models.Index(fields=["customer", "-at"], name="happening_newest"),
            models.Index(fields=["at"], name="happening_to_tell", condition=models.Q(told_at__isnull=True)),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"


class StripeEvent(models.Model):
    """What Stripe told: stored by its id, then handled. Handled events have `processed_at`; `problem` is why the last
    attempt failed, or what was odd. `payload` is the body as it came, with people's data in it: "" once handled."""

    stripe_id = models.CharField(max_length=STRIPE_ID, unique=True)
    type = models.CharField(max_length=120)
    customer_stripe_id = models.CharField(max_length=STRIPE_ID, blank=True, db_index=True)
    api_version = models.CharField(max_length=40, blank=True)
    livemode = models.BooleanField()
    payload = models.TextField(blank=True)
    created_at = models.DateTimeField()
    received_at = models.DateTimeField(default=clock.now, db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = (
            models.Index(fields=["received_at"], name="event_to_handle", condition=models.Q(processed_at__isnull=True)),
        )

    def __str__(self) -> str:
        return f"{self.type} ({self.stripe_id})"


class Reconciliation(models.Model):
    """One comparison of everything with Stripe. `last_customer` is how far it came, `seen_at` its last sign of life;
    `problems` are sentences."""

    began_at = models.DateTimeField(default=clock.now, db_index=True)
    seen_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    last_customer = models.PositiveBigIntegerField(default=0)
    looked_at = models.PositiveIntegerField(default=0)
    repaired = models.PositiveIntegerField(default=0)
    problems = models.JSONField(default=list, blank=True)

    def __str__(self) -> str:
        return f"{self.began_at}: {self.looked_at} looked at, {self.repaired} repaired"
