"""The page that says what choosing a plan will do, and does it: just what it said."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods

from accounts import rates
from accounts.here import Here, member_page
from accounts.models import Workspace
from accounts.plans import PLANS, Plan
from accounts.roles import Action
from accounts.templatetags.pages import moment
from billing import costs, history, offers, proposals, subscribing
from billing import standing as standings
from billing.leading import lead, leads_to_stripe
from billing.models import Interval, Subscription
from billing.offers import Offer, Step
from billing.proposals import OutdatedError
from billing.standing import Standing
from billing.subscribing import Change
from crosswire.lib.errors import CrossWireError, invalid


@require_http_methods(["GET", "HEAD", "POST"])
@leads_to_stripe
@member_page(Action.BILLING)
def change(request: HttpRequest, here: Here) -> HttpResponse:
    """Say what choosing a plan will do, or do it: pay on Stripe's page, or change what is paid for."""
    given = request.POST if request.method == "POST" else request.GET
    plan, interval = PLANS.get(str(given.get("plan", ""))), chosen_interval(given, Interval.MONTH.value)
    if plan is None or not plan.is_public:
        raise invalid("There is no such plan.")
    if not plan.price_month:
        return redirect("billing_cancel", here.workspace.slug)
    if request.method != "POST":
        return _propose(request, here, plan, interval)
    rates.count_operation(here.principal)
    try:
        return _do(request, here, plan, interval)
    except OutdatedError as outdated:
        return _propose(request, here, plan, interval, why=outdated.message)
    except CrossWireError as refusal:
        if refusal.code != "payment_declined":
            raise
        shown = {"standing": standings.of(here.workspace, is_short=True), "refusal": refusal}
        shown |= {"plan": plan, "interval": interval}
        return render(request, "billing/declined.html", shown, status=refusal.status)


def chosen_interval(given: QueryDict, otherwise: str) -> str:
    """Return how often is to be paid. Raises: CrossWireError `invalid_input`."""
    wanted = str(given.get("interval", otherwise))
    if wanted not in Interval.values:
        raise invalid("A plan is paid by the month or by the year.")
    return wanted


def _do(request: HttpRequest, here: Here, plan: Plan, interval: str) -> HttpResponse:
    shown = proposals.opened(here.workspace, plan.name, interval, request.POST.get("shown", ""))
    if shown.is_first:
        return lead(request, subscribing.start_checkout(here.workspace, plan.name, interval, by=here.actor))
    done = subscribing.change_plan(here.workspace, shown, by=here.actor)
    if done.when == "to_confirm":
        return lead(request, done.url)
    messages.success(request, _told(done))
    return redirect("billing", here.workspace.slug)


def _propose(request: HttpRequest, here: Here, plan: Plan, interval: str, why: str = "") -> HttpResponse:
    """Show what choosing a plan does now. `why`: why what was shown before was not done."""
    workspace = Workspace.objects.get(pk=here.workspace.pk)
    standing = standings.of(workspace, is_short=True)
    offer = offers.offer(standing, plan, interval)
    if offer.step is Step.NOTHING:
        messages.warning(request, f"{why} {_why_nothing(standing, offer)}".strip())
        return redirect("billing", workspace.slug)
    now = Subscription.objects.filter(customer__workspace=workspace).current()
    quote = costs.quote(now, plan.name, interval) if now and offer.step is Step.UP else None
    proposal = proposals.propose(workspace, plan.name, interval, quote)
    shown = {
        "standing": standing,
        "offer": offer,
        "quote": quote,
        "is_unpriced": offer.step is Step.UP and quote is None,
        "shown": proposal.sealed(workspace),
        "why": why,
    }
    return render(request, "billing/change.html", shown, status=409 if why else 200)


def _why_nothing(standing: Standing, offer: Offer) -> str:
    if standing.is_in_grace or standing.is_lapsed:
        return "A payment is missing: pay the open invoice, or change the card. Then another plan can be chosen."
    if not standing.is_configured:
        return "This installation takes no payments."
    if standing.confirm_until:
        return proposals.WAITS
    if offer.is_planned:
        return f"That change to {offer.plan.title} is planned already."
    if standing.is_subscribed and standing.status not in Subscription.PAID:
        return "The subscription is paused: no other plan can be chosen until it goes on."
    return f"{standing.plan.title} is what the workspace has."


def _told(done: Change) -> str:
    title, paid = PLANS[done.plan].title, history.INTERVALS[done.interval]
    match done.when:
        case "now":
            charged = history.money(done.paid, done.currency)
            said = f"Paid: {charged}." if done.paid else "Nothing was charged."
            if done.credit:
                kept = history.money(done.credit, done.currency)
                said = f"{said.removesuffix('.')}; {kept} is kept as credit for the next invoices."
            return f"The workspace is on {title}, paid {paid}, from this moment on. {said}"
        case "later" if done.before == done.plan:
            return format_html("{} is paid {} from {} on. Until then everything stays.", title, paid, moment(done.at))
        case "later":
            return format_html("The plan changes to {} on {}. Until then everything stays.", title, moment(done.at))
        case "dropped":
            return f"Nothing changes: the workspace stays on {title}."
        case _:
            return f"The workspace has {title} already."
