"""What the pages of a workspace say of its payments, and of a plan that ends or changes."""

from __future__ import annotations

from django.utils.html import format_html

from accounts.banners import Banner, Urgency
from accounts.here import Here
from accounts.roles import Action
from accounts.templatetags.pages import moment
from billing import standing as standings
from billing.standing import Standing


def of_payments(here: Here) -> list[Banner]:
    """Return what the members of a workspace should know of its subscription: one thing at most."""
    standing = standings.of(here.workspace, is_short=True)
    if not standing.is_subscribed:
        return []
    url, may_pay = f"/w/{here.workspace.slug}/billing", here.may(Action.BILLING)
    if text := _of_debt(standing):
        return [Banner(Urgency.PAYMENT, text, url, "Pay, or change the card" if may_pay else "Who can pay")]
    if text := _of_end(standing):
        return [Banner(Urgency.PLAN_ENDS, text, url, "Change that" if may_pay else "See the plan")]
    return []


def _of_debt(standing: Standing) -> str:
    title = _title(standing)
    if standing.is_lapsed:
        said = "The payment for {} did not come: the workspace is on {} until it does."
        return format_html(said, title, standing.plan.title)
    if standing.is_in_grace:
        return format_html("A payment failed: {} goes on until {}.", title, moment(standing.grace_until))
    return ""


def _of_end(standing: Standing) -> str:
    title, planned = _title(standing), standing.scheduled
    if standing.cancels_at:
        return format_html("{} ends on {}; then the workspace goes to Free.", title, moment(standing.cancels_at))
    if planned and planned.plan != standing.paid:
        return format_html("{} becomes {} on {}.", title, planned.plan.title, moment(planned.at))
    return ""


def _title(standing: Standing) -> str:
    return standing.paid.title if standing.paid else "The plan"
