"""The pages about a workspace's plan and payments. Everybody in it sees the plan; who pays is one of its owners."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import here as places
from accounts import history, rates, roles
from accounts.here import Here, member_page
from accounts.models import Member, Workspace
from accounts.plans import PLANS
from accounts.roles import Action
from accounts.signals import workspace_used
from accounts.templatetags.pages import moment
from billing import offers, subscribing
from billing import standing as standings
from billing.changing import chosen_interval
from billing.leading import lead, leads_to_stripe
from billing.models import Interval
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError


@require_safe
@login_required
def find(request: HttpRequest) -> HttpResponse:
    """Lead to the billing page of the workspace that somebody saw last, a chosen plan with them; choosing one leads to
    a workspace where they may, and who is in none makes one first."""
    is_choosing = request.GET.get("plan") in PLANS
    member = places.last(request)
    if member is None and is_choosing:
        return redirect(f"{reverse('workspace_new')}?{urlencode({'next': request.get_full_path()})}")
    if member is None:
        return redirect("home")
    if is_choosing and not roles.may(member.role, Action.BILLING):
        member = _own(member) or member
    may_choose = is_choosing and roles.may(member.role, Action.BILLING)
    if is_choosing and not may_choose:
        said = "Make a workspace of your own to choose a plan for it."
        messages.warning(request, f"{roles.who_may(Action.BILLING)} {said}")
    page = reverse("billing_change" if may_choose else "billing", args=[member.workspace.slug])
    chosen = {"plan": request.GET.get("plan", ""), "interval": request.GET.get("interval", Interval.MONTH.value)}
    return redirect(f"{page}?{urlencode(chosen)}" if may_choose else page)


@require_safe
@leads_to_stripe
@member_page(Action.VIEW, while_suspended=True)
def billing(request: HttpRequest, here: Here) -> HttpResponse:
    """Show the plan and what is used of it; to who may change it, how it is paid and what else there is."""
    may_change = here.may(Action.BILLING)
    standing = standings.of(here.workspace, is_short=not may_change)
    interval = chosen_interval(request.GET, standing.interval or Interval.MONTH.value)
    used: Any = workspace_used.send(sender=Workspace, here=here)
    shown: dict[str, Any] = {
        "standing": standing,
        "may_change": may_change,
        "interval": interval,
        "offers": offers.offers(standing, interval),
        "meters": [meter for _, meters in used for meter in meters],
        "count_ends": clock.month_ends_at(clock.now()),
        "fall": history.next_fall(here.workspace),
        "operator_email": settings.OPERATOR_EMAIL,
    }
    if may_change:
        shown["next_invoice"] = standings.next_invoice(here.workspace) if standing.is_subscribed else None
    else:
        shown["owners"] = _who_may(here.workspace)
    return render(request, "billing/billing.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.BILLING, while_suspended=True)
def cancel(request: HttpRequest, here: Here) -> HttpResponse:
    """Say what ending the subscription means, or end it."""
    standing = standings.of(here.workspace, is_short=True)
    if not standing.is_subscribed or (standing.cancels_at and request.method != "POST"):
        return redirect("billing", here.workspace.slug)
    if request.method == "POST":
        rates.count_operation(here.principal)
        ends_at = subscribing.cancel(here.workspace, by=here.actor)
        until = format_html("ends on {}", moment(ends_at)) if ends_at else "has ended"
        messages.success(request, format_html("Cancelled: the subscription {}. Nothing more is charged.", until))
        return redirect("billing", here.workspace.slug)
    free = PLANS["free"]
    shown = {"standing": standing, "free": free, "figures": offers.figures(free)}
    return render(request, "billing/cancel.html", shown)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.BILLING, while_suspended=True)
def resume(request: HttpRequest, here: Here) -> HttpResponse:
    """Say what staying means, or drop a cancellation or a change that is planned."""
    standing = standings.of(here.workspace, is_short=True)
    if request.method == "POST":
        rates.count_operation(here.principal)
        subscribing.resume(here.workspace, by=here.actor)
        messages.success(request, "Nothing changes: the subscription goes on.")
        return redirect("billing", here.workspace.slug)
    if not standing.may_stay:
        return redirect("billing", here.workspace.slug)
    return render(request, "billing/resume.html", {"standing": standing})


@require_POST
@member_page(Action.BILLING, while_suspended=True)
def portal(request: HttpRequest, here: Here) -> HttpResponse:
    """Lead to Stripe's page with invoices and ways to pay."""
    rates.count_operation(here.principal)
    return lead(request, subscribing.open_portal(here.workspace, by=here.actor))


@require_safe
@member_page(Action.BILLING, while_suspended=True)
def returned(request: HttpRequest, here: Here) -> HttpResponse:
    """Take in who comes back from paying: the plan is theirs by the time they see the page."""
    rates.count_operation(here.principal)
    try:
        is_paid = subscribing.checkout_returned(here.workspace, request.GET.get("session_id", ""))
    except CrossWireError as problem:
        is_away = problem.code == "unavailable"
        away = "Stripe does not answer just now. If you have paid, the plan comes by itself."
        messages.warning(request, away if is_away else "There is no such payment.")
        return redirect("billing", here.workspace.slug)
    now = standings.of(Workspace.objects.get(pk=here.workspace.pk), is_short=True)
    if is_paid and now.paid:
        messages.success(request, f"Thank you. The workspace is on {now.plan.title}, from this moment on.")
    else:
        messages.warning(request, "The payment is not there yet. The plan comes by itself as soon as it is.")
    return redirect("billing", here.workspace.slug)


def _own(member: Member) -> Member | None:
    """Return a person's oldest place where they may change the plan."""
    theirs = Member.objects.filter(user=member.user_id, role__in=roles.able(Action.BILLING)).select_related("workspace")
    return theirs.order_by("pk").first()


def _who_may(workspace: Workspace) -> list[Member]:
    """Return who may change the plan."""
    return list(
        Member.objects.filter(workspace=workspace, role__in=roles.able(Action.BILLING))
        .select_related("user")
        .order_by("pk")
    )
