"""The audit log of a workspace: a page of it, and a download."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_safe

from accounts import audit_log
from accounts.audit_log import Filter
from accounts.here import Here, member_page
from accounts.models import Workspace
from accounts.roles import Action
from crosswire.lib import executor

_EARLIEST, _LATEST = parse_date("2000-01-01"), parse_date("2999-12-31")


class AuditForm(forms.Form):
    """What of the log is asked for. `before` names the event that the page before ended with."""

    kind = forms.ChoiceField(required=False, choices=[("", "Everything"), *audit_log.KINDS.items()], label="What")
    actor = forms.CharField(required=False, max_length=160, label="Who", widget=forms.Select)
    day = forms.DateField(
        required=False,
        label="Day",
        validators=[MinValueValidator(_EARLIEST), MaxValueValidator(_LATEST)],
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)

    def __init__(self, actors: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["actor"].widget.choices = [("", "Everybody"), *actors]

    @property
    def wanted(self) -> Filter:
        """What is asked for, as far as it could be read."""
        read = self.cleaned_data
        return Filter.of(read.get("kind") or "", read.get("actor") or "", read.get("day"))


@require_safe
@member_page(Action.VIEW_AUDIT)
def audit(request: HttpRequest, here: Here) -> HttpResponse:
    """Show a page of the log, the newest first."""
    form = AuditForm(audit_log.actors(here.workspace), request.GET)
    is_valid = form.is_valid()
    before = form.cleaned_data.get("before")
    entries, more = audit_log.page(here.workspace, form.wanted, before) if is_valid else ([], None)
    query = request.GET.copy()
    query.pop("before", None)
    shown = {
        "form": form,
        "entries": entries,
        "more": more,
        "before": before,
        "is_filtered": bool(form.wanted),
        "query": query.urlencode(),
    }
    return render(request, "accounts/audit.html", shown, status=200 if is_valid else 400)


@require_safe
@member_page(Action.VIEW_AUDIT)
def download(request: HttpRequest, here: Here) -> HttpResponse:
    """Stream what the page's filter leaves of the log as JSON Lines, the newest first."""
    form = AuditForm([], request.GET)
    if not form.is_valid():
        return audit(request, here.workspace.slug)
    lines = _lines(here.workspace, form.wanted)
    name = f'attachment; filename="audit-{here.workspace.slug}.jsonl"'
    headers = {"Content-Disposition": name}
    return StreamingHttpResponse(lines, content_type="application/x-ndjson", headers=headers)  # type: ignore[return-value] # a response all the same


async def _lines(workspace: Workspace, wanted: Filter) -> AsyncIterator[bytes]:
    before: int | None = None
    for _ in range(audit_log.DOWNLOAD_MOST // audit_log.DOWNLOAD_BATCH):
        lines, before = await executor.run(audit_log.batch, workspace, wanted, before)
        yield lines
        if before is None:
            return
