"""What a workspace may choose: for each plan that is sold, what choosing it would do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from accounts.plans import PLANS, Plan
from accounts.workspace_settings import Allowance, allowances
from billing.applying import RANK
from billing.models import Interval, Subscription
from billing.standing import Standing


class Step(StrEnum):
    """What choosing a plan does."""

    NOTHING = ""
    CHECKOUT = "checkout"
    UP = "up"
    DOWN = "down"
    STAY = "stay"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan as it can be chosen. `interval` is "" for Free. `is_current`: in force; `is_paid_for`: what the
    subscription is for, paid or not."""

    plan: Plan
    interval: str
    step: Step
    is_current: bool = False
    is_paid_for: bool = False
    is_planned: bool = False

    @property
    def price(self) -> int:
        """What it costs for one interval, in US dollars."""
        return price_of(self.plan, self.interval) // 100

    @property
    def months_free(self) -> int:
        """How many monthly prices a year costs less than twelve."""
        month = self.plan.price_month
        return (12 * month - self.plan.price_year) // month if month and self.interval == Interval.YEAR else 0

    @property
    def verb(self) -> str:
        """What its button says."""
        title = self.plan.title
        match self.step:
            case Step.CHECKOUT:
                return f"Upgrade to {title}"
            case Step.UP:
                return f"Pay {title} yearly" if self.is_paid_for else f"Upgrade to {title}"
            case Step.DOWN:
                return f"Pay {title} monthly" if self.is_paid_for else f"Change to {title}"
            case Step.STAY:
                return f"Stay on {title}"
            case Step.CANCEL:
                return "Cancel the subscription"
            case Step.NOTHING:
                return ""

    @property
    def figures(self) -> list[Allowance]:
        """What the plan allows, in words."""
        return figures(self.plan)


def figures(plan: Plan) -> list[Allowance]:
    """Return what a plan allows, in words."""
    return [
        *allowances(plan),
        Allowance("History", f"{plan.retention_days} days" if plan.retention_days else "endless"),
    ]


def price_of(plan: Plan, interval: str) -> int:
    """Return what a plan costs for one interval, in cents."""
    return plan.price_year if interval == Interval.YEAR else plan.price_month


def offers(standing: Standing, interval: str) -> list[Offer]:
    """Return each public plan, paid by this interval."""
    return [offer(standing, plan, interval) for plan in PLANS.values() if plan.is_public]


def offer(standing: Standing, plan: Plan, interval: str) -> Offer:
    """Return one plan as it can be chosen by a workspace that stands so."""
    interval = interval if plan.price_month else ""
    planned = standing.scheduled
    return Offer(
        plan,
        interval,
        _step(standing, plan, interval),
        is_current=plan == standing.plan,
        is_paid_for=plan == standing.paid,
        is_planned=planned is not None and (planned.plan, planned.interval) == (plan, interval),
    )


def _step(standing: Standing, plan: Plan, interval: str) -> Step:
    is_larger = RANK[plan.name] > RANK[standing.plan.name]
    if not standing.is_configured:
        return Step.NOTHING
    if not standing.is_subscribed:
        return Step.CHECKOUT if plan.price_month and is_larger else Step.NOTHING
    if not plan.price_month:
        return Step.NOTHING if standing.cancels_at else Step.CANCEL
    if standing.status not in Subscription.PAID:
        return Step.NOTHING
    return _change(standing, plan, interval)


def _change(standing: Standing, plan: Plan, interval: str) -> Step:
    """Return what choosing a plan does to a paid subscription; up and down as `subscribing.change_plan` has it."""
    planned = standing.scheduled
    if (standing.paid, standing.interval) == (plan, interval):
        return Step.STAY if standing.may_stay else Step.NOTHING
    if standing.confirm_until:
        return Step.NOTHING
    if planned and (planned.plan, planned.interval) == (plan, interval):
        return Step.NOTHING
    if plan == standing.paid:
        return Step.UP if interval == Interval.YEAR else Step.DOWN
    paid = -1 if standing.paid is None else RANK[standing.paid.name]
    return Step.UP if RANK[plan.name] > paid else Step.DOWN
