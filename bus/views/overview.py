"""The first page of a workspace: what is used of the plan, who is there, who waits for whom, what goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages as flash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST, require_safe

from accounts import pruned, rates, usage
from accounts.here import Here, member_page
from accounts.plans import PLANS, plan_in_force
from accounts.quotas import LINES
from accounts.roles import Action
from accounts.workspace_settings import retention_in_words
from bus.paging import Mark
from bus.results import InstanceItem, Quota, Usage
from bus.services import channels, limits, standing
from bus.services import instances as presences
from bus.views import charts, sentences
from bus.views.banners import counted

CHANNELS_MOST = 8
INSTANCES_PER_PAGE = 50
NEARLY = LINES[0] / 100


@require_safe
@member_page(Action.VIEW)
def overview(request: HttpRequest, here: Here) -> HttpResponse:
    """Show how the workspace stands; an empty one, how to begin."""
    used = usage_here(here)
    activity = usage.activity(here.workspace.pk)
    now = _who_is_there(here)
    shown: dict[str, Any] = now | {
        "plan": PLANS[used["plan"]],
        "usage": used,
        "retention": retention_in_words(here.workspace),
        "pruned": pruned.totals(pruned.last_pruned(here.workspace.pk)),
        "meters": meters(used, here.workspace.slug),
        "activity": activity,
        "chart": charts.by_day(activity.days),
        "senders": [(name, sent, charts.share(sent, activity.total)) for name, sent in activity.senders],
        "is_empty": not now["instances"] and not activity.total,
    }
    if not shown["is_empty"]:
        shown["channels"] = channels.latest(here.principal, CHANNELS_MOST)
    return render(request, "bus/overview.html", shown)


@require_safe
@member_page(Action.VIEW)
def presence(request: HttpRequest, here: Here) -> HttpResponse:
    """Return who is there as a piece of a page, for the overview to show anew."""
    return render(request, "bus/presence.html", _who_is_there(here))


def usage_here(here: Here) -> Usage:
    """Return what is used of the plan, from rows that this request has read already where it can."""
    return limits.usage_of(here.principal, here.principal.plan, counted(here))


def _who_is_there(here: Here) -> dict[str, Any]:
    now, slug = standing.now(here.principal), here.workspace.slug
    return {
        "circles": [sentences.circle(slug, each) for each in now.circles],
        "waits": [sentences.waiting(slug, each) for each in now.waits],
        "unheard": [sentences.unheard(slug, each) for each in now.unheard],
        "unlisted": now.unlisted,
        "instances": sentences.with_wakes(slug, now.instances),
        "freeable": _freeable(here, now.instances),
        "has_more": now.has_more,
    }


@require_safe
@member_page(Action.VIEW)
def instances(request: HttpRequest, here: Here) -> HttpResponse:
    """Show everybody who ever took part, last seen first."""
    after = Mark.read(request.GET.get("after", ""))
    listed = standing.page(here.principal, after=after, most=INSTANCES_PER_PAGE)
    shown = {
        "listed": listed,
        "after": after,
        "instances": sentences.with_wakes(here.workspace.slug, listed.instances),
        "freeable": _freeable(here, listed.instances),
    }
    return render(request, "bus/instances.html", shown)


def _freeable(here: Here, listed: list[InstanceItem]) -> set[str]:
    """Return which instances hold one of the plan's places that this person may free."""
    is_bounded = plan_in_force(here.workspace.plan, here.workspace.overrides).instances is not None
    if not is_bounded or not here.may(Action.MODERATE):
        return set()
    return limits.holding(here.principal, [each["instance_id"] for each in listed])


@require_POST
@member_page(Action.MODERATE)
def free_place(request: HttpRequest, here: Here) -> HttpResponse:
    """Take an instance as gone, so that another one can have its place."""
    rates.count_operation(here.principal)
    name = request.POST.get("instance_id", "")
    presences.free_place(here.principal, instance_id=name, actor=here.actor)
    flash.success(
        request,
        f"The place of {name} is free: it counts as gone, and its waits and claims have ended. "
        "Should its program still run, it takes a place again with its next call.",
    )
    return redirect("instances" if request.POST.get("back") == "instances" else "overview", here.workspace.slug)


@dataclass(frozen=True)
class Meter:
    """One figure of the plan as a page shows it. `warning` says in words how close the bound is."""

    name: str
    title: str
    quota: Quota
    is_bytes: bool = False
    note: str = ""

    @property
    def percent(self) -> int:
        """How much of the bound is used, rounded down so that 100 means all of it."""
        return 100 * self.quota["used"] // self.quota["limit"] if self.quota["limit"] else 0

    @property
    def warning(self) -> str:
        """`full` from the bound on, `nearly` from four fifths on, else nothing."""
        used, limit = self.quota["used"], self.quota["limit"]
        if limit is None or used < NEARLY * limit:
            return ""
        return "full" if used >= limit else "nearly"

    @property
    def nearly_from(self) -> float:
        """From where on the meter changes its colour."""
        return NEARLY * (self.quota["limit"] or 0)

    @property
    def full_from(self) -> float:
        """From where on it changes once more: just below the bound, since a meter compares with `more than`."""
        return max(self.nearly_from, (self.quota["limit"] or 0) - 0.5)


def meters(used: Any, workspace: str) -> list[Meter]:
    """Return the figures of the plan that a page shows."""
    places = "Seen in the last 30 minutes, or waiting."
    if used["instances"]["limit"] is not None:
        places = format_html(
            '{} A place is freed <a href="{}">by hand</a>, too.',
            places,
            reverse("instances", args=[workspace]),
        )
    return [
        Meter("messages", "Messages this month", used["messages"]),
        Meter("instances", "Instances", used["instances"], note=places),
        Meter("channels", "Channels", used["channels"], note="Archived ones do not count."),
        Meter("data", "Shared data", used["data_bytes"], is_bytes=True),
    ]
