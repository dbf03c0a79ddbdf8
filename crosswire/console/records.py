"""The service's own records, which nobody changes: who did what, and how pruning went."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join

from accounts import audit, audit_log
from accounts.models import AuditEvent, PruneRun
from accounts.templatetags.pages import ago, moment, number
from crosswire.console.marks import link_to
from crosswire.console.rows import ConditionFilter, Rows


class WhoFilter(ConditionFilter):
    """Operators' deeds, or everybody's."""

    title, parameter_name = "who", "who"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return the choice there is."""
        return {"operators": ("Operators", audit.by_operators())}


class KindFilter(ConditionFilter):
    """By what it is about."""

    title, parameter_name = "kind", "kind"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return every kind of action."""
        kinds = audit_log.OPERATORS_KINDS | audit_log.KINDS
        return {kind: (title, Q(action__startswith=f"{kind}.")) for kind, title in kinds.items()}


class WorkspaceFilter(admin.SimpleListFilter):
    """Those of one workspace, whose page links here."""

    title = "workspace"
    parameter_name = "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the one that is asked for."""
        asked = request.GET.get("workspace", "")[:32]
        return [(asked, asked)] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """Narrow the list."""
        slug = (self.value() or "").replace("\0", "")
        return queryset.filter(workspace__slug=slug) if slug else queryset


class Records(Rows):
    """Every event, the newest first."""

    heading = "Audit log"
    list_display = ("happened", "who", "deed", "where")
    list_display_links = None
    list_filter = (WhoFilter, KindFilter, WorkspaceFilter)
    ordering = ("-pk",)
    search_fields = ("actor",)
    search_help_text = "The beginning of who did it, of what was done (key.revoked) or of what it was done to."

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Return every event with its workspace."""
        return AuditEvent.objects.select_related("workspace")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Find events by what they begin with; an operator by the address alone."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        who = Q(actor__istartswith=wanted) | Q(actor__istartswith=f"{audit.OPERATOR} {wanted}")
        return queryset.filter(who | Q(action__startswith=wanted) | Q(target__istartswith=wanted)), False

    @admin.display(description="when")
    def happened(self, row: AuditEvent) -> str:
        """The time."""
        return moment(row.at)

    @admin.display(description="who")
    def who(self, row: AuditEvent) -> str:
        """The actor as it was recorded: operators by their address."""
        return f"the key {row.actor}" if row.action in audit_log.BY_KEYS else row.actor

    @admin.display(description="what")
    def deed(self, row: AuditEvent) -> str:
        """The sentence."""
        return audit_log.deed(row)

    @admin.display(description="workspace")
    def where(self, row: AuditEvent) -> str:
        """A link to it."""
        if row.workspace is None:
            return ""
        return link_to(row.workspace, row.workspace.name)


class PruneRuns(Rows):
    """The hourly rounds that delete what has expired."""

    heading = "Pruning"
    list_display = ("began", "ended", "complete", "took", "what_is_wrong")
    list_display_links = None
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PruneRun]:
        """Return every one."""
        return PruneRun.objects.all()

    @admin.display(description="began")
    def began(self, row: PruneRun) -> str:
        """When it began."""
        return moment(row.started_at)

    @admin.display(description="ended")
    def ended(self, row: PruneRun) -> str:
        """When it was done."""
        return moment(row.ended_at) or f"seen {ago(row.seen_at)}"

    @admin.display(description="complete")
    def complete(self, row: PruneRun) -> str:
        """Whether nothing was left."""
        return "yes" if row.is_complete else "no"

    @admin.display(description="took")
    def took(self, row: PruneRun) -> str:
        """How many rows of what."""
        return ", ".join(f"{number(count)} {what.replace('_', ' ')}" for what, count in row.counts.items() if count)

    @admin.display(description="problems")
    def what_is_wrong(self, row: PruneRun) -> str:
        """In which workspaces it failed, and why."""
        return format_html_join("", "<p>{}: {}</p>", row.failed.items())
