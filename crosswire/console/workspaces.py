"""Workspaces as operators see them: the list, and the page of one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html

from accounts import audit_log, exports, keyring, members, pruned
from accounts.models import ApiKey, Member, Workspace
from accounts.plans import PLANS, plan_in_force
from accounts.templatetags.pages import ago, moment, number, size
from billing import standing
from billing.models import Customer
from bus import figures
from crosswire.console import money, workspace_deeds
from crosswire.console.marks import badge, of_all, states
from crosswire.console.rows import ConditionFilter, Rows
from crosswire.lib import clock, keys

MEMBERS_MOST = 100


class PlanFilter(ConditionFilter):
    """By plan."""

    title, parameter_name = "plan", "plan"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return every plan there is."""
        return {plan.name: (plan.title, Q(plan=plan.name)) for plan in PLANS.values()}


class StateFilter(ConditionFilter):
    """By what a workspace may do."""

    title, parameter_name = "state", "state"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return the states."""
        return {
            "active": ("Active", Q(suspended_at=None, closing_at=None)),
            "suspended": ("Suspended", Q(suspended_at__isnull=False, closing_at=None)),
            "closing": ("Being erased", Q(closing_at__isnull=False)),
            "overridden": ("Figures of its own", ~Q(overrides={})),
        }


class List(ChangeList):
    """The list, with the figures of those that one page shows."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch one page."""
        super().get_results(request)
        self.result_list = rows = list(self.result_list)
        found = figures.of([row.pk for row in rows])
        subscriptions = money.of([row.pk for row in rows])
        for row in rows:
            row.figures = found.get(row.pk, figures.Figures())
            row.subscription = subscriptions.get(row.pk)


class Workspaces(Rows):
    """Every workspace."""

    heading = "Workspaces"
    list_display = (
        "named",
        "on_plan",
        "pays",
        "state",
        "messages",
        "stored",
        "instances",
        "last_message",
        "made",
    )
    list_filter = (PlanFilter, money.PayingFilter, StateFilter)
    ordering = ("-created_at", "-pk")
    search_fields = ("name",)
    search_help_text = (
        "A part of the name or of a member's address; a whole slug; the beginning of a key (cw_…); a customer of "
        "Stripe's (cus_…)."
    )
    page_template = "console/workspace.html"
    deeds = workspace_deeds.DEEDS

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return our list."""
        return List

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workspace]:
        """Return every workspace with what the list can be put in order by."""
        this_month = When(counters__month=clock.month_of(clock.now()), then=F("counters__month_messages"))
        return Workspace.objects.annotate(month_messages=Case(this_month, default=Value(0)))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Workspace], search_term: str
    ) -> tuple[QuerySet[Workspace], bool]:
        """Find workspaces by what a customer may name when they write."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        people = Member.objects.filter(workspace=OuterRef("pk"), user__email__icontains=wanted)
        found = Q(name__icontains=wanted) | Q(slug__iexact=wanted) | Q(Exists(people))
        if wanted.startswith(keys.PREFIX):
            prefix = keys.display_prefix(wanted)
            found |= Q(Exists(ApiKey.objects.filter(workspace=OuterRef("pk"), prefix__startswith=prefix)))
        if wanted.startswith(money.CUSTOMER):
            found |= money.customers_named(wanted)
        return queryset.filter(found), False

    @admin.display(description="name", ordering="name")
    def named(self, row: Workspace) -> str:
        """The name, and what addresses call it."""
        return format_html("{} <small>{}</small>", row.name, row.slug)

    @admin.display(description="plan", ordering="plan")
    def on_plan(self, row: Workspace) -> str:
        """The plan, and whether figures differ."""
        title = PLANS[row.plan].title if row.plan in PLANS else row.plan
        return badge("own figures", "accent", title) if row.overrides else title

    @admin.display(description="pays")
    def pays(self, row: Any) -> str:
        """How its subscription stands."""
        return money.word(row.subscription) if row.subscription else ""

    @admin.display(description="state", ordering="suspended_at")
    def state(self, row: Workspace) -> str:
        """What it may do."""
        return states(row)

    @admin.display(description="messages this month", ordering="month_messages")
    def messages(self, row: Any) -> str:
        """Use of the quota."""
        return of_all(number(row.figures.messages), _number(_plan(row).messages))

    @admin.display(description="shared data", ordering="counters__data_bytes")
    def stored(self, row: Any) -> str:
        """Use of the limit."""
        return of_all(size(row.figures.data_bytes), size(_plan(row).data_bytes))

    @admin.display(description="instances")
    def instances(self, row: Any) -> str:
        """Use of the limit."""
        return of_all(number(row.figures.instances), _number(_plan(row).instances))

    @admin.display(description="last message", ordering="counters__last_at")
    def last_message(self, row: Any) -> str:
        """When it was stored."""
        return ago(row.figures.last_at) or "never"

    @admin.display(description="made", ordering="created_at")
    def made(self, row: Workspace) -> str:
        """When it was made."""
        return moment(row.created_at)

    def about(self, request: HttpRequest, row: Workspace) -> dict[str, Any]:
        """Return everything an operator may know of one workspace."""
        listed = keyring.listed(row)
        entries, _ = audit_log.page(row, audit_log.Filter())
        return {
            "state": states(row),
            "plan": PLANS.get(row.plan),
            "uses": uses(row, len(listed.live)),
            "holds": holds(row),
            "members": members.with_second_factor(row)[:MEMBERS_MOST],
            "members_most": MEMBERS_MOST,
            "listed": listed,
            "may_revoke": workspace_deeds.RevokeKey.is_allowed(request.user),
            "customer": Customer.objects.filter(workspace=row).first(),
            "standing": standing.of(row),
            "pruned": pruned.totals(pruned.last_pruned(row.pk)),
            **exports.shown(row),
            "entries": entries,
        }


def uses(row: Workspace, live_keys: int) -> list[dict[str, Any]]:
    """Return each figure of the plan: what is used, what is in force, what the plan itself says."""
    now = figures.of([row.pk]).get(row.pk, figures.Figures())
    used = {"messages": now.messages, "data_bytes": now.data_bytes, "instances": now.instances}
    used |= {"channels": now.channels, "waits": now.waits, "live_keys": live_keys}
    return [
        {
            "title": title,
            "used": None if name not in used else _written(name, used[name]),
            "in_force": _written(name, getattr(_plan(row), name)),
            "own": _written(name, getattr(PLANS[row.plan], name)),
            "is_overridden": name in row.overrides,
        }
        for name, title in workspace_deeds.FIGURES.items()
    ]


def holds(row: Workspace) -> list[tuple[int | None, datetime | None]]:
    """Return the longer retentions that go on for a while: days (None: everything) and until when."""
    now = clock.iso(clock.now())
    return [(hold["days"], parse_datetime(hold["until"])) for hold in row.retention_holds if hold["until"] > now]


def _plan(row: Workspace) -> Any:
    return plan_in_force(row.plan, row.overrides)


def _number(value: int | None) -> str:
    return "" if value is None else number(value)


def _written(name: str, value: int | None) -> str:
    if value is None:
        return "no bound"
    return size(value) if name == "data_bytes" else number(value)
