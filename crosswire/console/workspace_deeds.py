"""What operators do to workspaces. Each is a service that others call too, and stands in the workspace's audit log."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.shortcuts import get_object_or_404
from django.urls import reverse

from accounts import audit, closing, plan_changes, services
from accounts.models import ApiKey, User, Workspace
from accounts.plans import BOUNDED, PLANS
from billing import standing
from crosswire.console.deeds import Deed
from crosswire.lib.errors import not_found

FIGURES = {
    "messages": "Messages a month",
    "instances": "Instances at a time",
    "channels": "Channels",
    "data_bytes": "Shared data (bytes)",
    "retention_days": "Days that history is kept",
    "calls": "Calls a minute",
    "waits": "Waits at a time",
    "live_keys": "Keys that work",
}
"""What can be overridden, in the order of pages."""
_MOST = 10**12
_BOUNDS = {"retention_days": (1, plan_changes.RETENTION_MOST)}
"""The least and the most of figures that have bounds of their own."""


class _Living(Deed[Workspace]):
    """A deed to a workspace that is not being erased."""

    @classmethod
    @override
    def is_offered(cls, row: Workspace) -> bool:
        return row.closing_at is None


class PlanForm(forms.Form):
    """Another plan."""

    plan = forms.ChoiceField(choices=[(plan.name, plan.title) for plan in PLANS.values()])
    why = forms.CharField(
        required=False, max_length=200, help_text="The workspace's people read it in their audit log."
    )


class SetPlan(_Living):
    """Another plan, by hand."""

    name, title, button = "plan", "Set the plan", "Put it on this plan"
    template = "console/set_plan.html"
    means = (
        "It holds from the next call. What a smaller plan keeps for a shorter time is kept for 30 days as before; no "
        "more is deleted."
    )
    done = "The plan is set."

    @override
    def form(self, data: Any) -> forms.Form:
        return PlanForm(data, initial={"plan": self.row.plan})

    @override
    def about(self) -> dict[str, Any]:
        return {"standing": standing.of(self.row, is_short=True)}

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        plan_changes.set_plan(self.row, given["plan"], actor=audit.operator(by), why=given["why"])


class OverridesForm(forms.Form):
    """A number and a tick for each figure that can be overridden; the plan's own where neither is given."""

    def __init__(self, row: Workspace, data: Any) -> None:
        super().__init__(data)
        for name, title in FIGURES.items():
            own = row.overrides.get(name)
            least, most = _BOUNDS.get(name, (0, _MOST))
            self.fields[name] = forms.IntegerField(
                label=title,
                required=False,
                min_value=least,
                max_value=most,
                initial=own,
                help_text=_plans_own(row, name),
            )
            if name not in BOUNDED:
                has_none = name in row.overrides and own is None
                self.fields[f"{name}_free"] = forms.BooleanField(
                    label=f"{title}: no bound", required=False, initial=has_none
                )

    def clean(self) -> dict[str, Any]:
        """Return the overrides as `overrides`."""
        given = super().clean() or {}
        found: dict[str, int | None] = {}
        for name in FIGURES:
            is_free, figure = given.get(f"{name}_free"), given.get(name)
            if is_free and figure is not None:
                self.add_error(name, "Give a number or tick “no bound”, not both.")
            elif is_free or figure is not None:
                found[name] = figure
        return {"overrides": found}

    def rows(self) -> list[dict[str, Any]]:
        """Return the fields in pairs."""
        return [
            {
                "name": name,
                "title": title,
                "figure": self[name],
                "free": None if name in BOUNDED else self[f"{name}_free"],
            }
            for name, title in FIGURES.items()
        ]


class Override(_Living):
    """Figures of its own in place of the plan's."""

    name, title, button = "overrides", "Set figures of its own", "Put these figures in force"
    template = "console/overrides.html"
    means = (
        "A figure left empty is the plan's own. They hold from the next call and stay when the plan changes. Where "
        "history would be kept for a shorter time, it is kept for 30 days as before."
    )
    done = "The figures are in force."

    @override
    def form(self, data: Any) -> forms.Form:
        return OverridesForm(self.row, data)

    @override
    def about(self) -> dict[str, Any]:
        return {"plan": PLANS[self.row.plan]}

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        plan_changes.set_overrides(self.row, given["overrides"], actor=audit.operator(by))


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=200, help_text="Every refused call tells it, and so do the workspace's pages and its audit log."
    )


class Suspend(Deed[Workspace]):
    """Stop a workspace."""

    name, title, button = "suspend", "Suspend", "Suspend it now"
    means = (
        "Every call is refused from now on; what is open (waits, tasks, streams, live pages) ends at once. Nothing is "
        "deleted, people may still export everything and leave, and a subscription goes on."
    )
    done = "It is suspended."
    is_dangerous = True
    form_class = ReasonForm

    @classmethod
    @override
    def is_offered(cls, row: Workspace) -> bool:
        return row.closing_at is None and row.suspended_at is None

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        services.suspend(self.row, given["reason"], actor=audit.operator(by))


class Resume(Deed[Workspace]):
    """Let a suspended workspace go on."""

    name, title, button = "resume", "Resume", "Let it go on"
    means = "Calls and pages work again from now on."
    done = "It goes on."

    @classmethod
    @override
    def is_offered(cls, row: Workspace) -> bool:
        return row.closing_at is None and row.suspended_at is not None

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        services.resume(self.row, actor=audit.operator(by))


class RevokeKey(_Living):
    """End a key."""

    name, title, button = "key_revoke", "Revoke a key", "Revoke this key"
    address = "keys/<int:key>/revoke/"
    template = "console/revoke_key.html"
    means = (
        "It stops working now, and what is open under it ends. Nobody can bring it back; its people can make others."
    )
    done = "The key is revoked."
    is_dangerous = True
    is_listed = False

    def __init__(self, row: Workspace, key: int) -> None:
        super().__init__(row)
        self.key = get_object_or_404(ApiKey.objects.select_related("workspace"), workspace=row, pk=key)

    @override
    def about(self) -> dict[str, Any]:
        return {"key": self.key}

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        if self.key.revoked_at is not None:
            raise not_found("This key was revoked already.")
        services.revoke_key(self.key, actor=audit.operator(by))


class CloseForm(forms.Form):
    """The slug, typed."""

    def __init__(self, row: Workspace, data: Any) -> None:
        super().__init__(data)
        self.slug = row.slug
        self.fields["slug"] = forms.CharField(label=f"Type {row.slug} to confirm")

    def clean_slug(self) -> str:
        """Return it when it is the one."""
        if self.cleaned_data["slug"].strip() != self.slug:
            raise forms.ValidationError("That is not its slug.")
        return self.slug


class Close(_Living):
    """Delete a workspace."""

    name, title, button = "close", "Delete", "Delete it for good"
    template = "console/close.html"
    means = (
        "All keys stop working at once, a subscription is cancelled, members lose the workspace and get a mail. "
        "Then everything is erased; nobody can bring it back."
    )
    done = "It is being erased."
    is_dangerous = True

    @property
    @override
    def after(self) -> str:
        return reverse("admin:accounts_workspace_changelist")

    @override
    def form(self, data: Any) -> forms.Form:
        return CloseForm(self.row, data)

    @override
    def about(self) -> dict[str, Any]:
        return {"what_goes": closing.what_goes(self.row)}

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        closing.close(self.row, actor=audit.operator(by))


def _plans_own(row: Workspace, name: str) -> str:
    figure = getattr(PLANS[row.plan], name)
    return f"The plan's own: {'no bound' if figure is None else f'{figure:,}'}."


DEEDS: tuple[type[Deed[Workspace]], ...] = (SetPlan, Override, Suspend, Resume, Close, RevokeKey)
