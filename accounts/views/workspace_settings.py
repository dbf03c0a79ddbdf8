"""The settings of a workspace."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import exports, members, pruned, workspace_settings
from accounts.here import Here, member_page
from accounts.notices import TOPICS
from accounts.plans import plan_in_force
from accounts.roles import Action


class SettingsForm(forms.Form):
    """What can be changed."""

    name = forms.CharField(max_length=120, help_text="What members see. The address stays as it is.")
    mails = forms.MultipleChoiceField(
        label="Notification mails",
        choices=[(name, f"{topic.title}: {topic.about}") for name, topic in TOPICS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="Sent to the owner and the admins, except to the one who did it.",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.CHANGE_SETTINGS, while_suspended=True)
def workspace_settings_page(request: HttpRequest, here: Here) -> HttpResponse:
    """Show the settings, or change them."""
    workspace = here.workspace
    current = {"name": workspace.name, "mails": [each for each in TOPICS if each not in workspace.muted_mails]}
    form = SettingsForm(request.POST or None, initial=current, label_suffix="")
    if request.method == "POST" and form.is_valid():
        with members.acting(here.member, Action.CHANGE_SETTINGS):
            workspace_settings.change(workspace, **form.cleaned_data, actor=here.actor)
        messages.success(request, "The settings are saved.")
        return redirect("workspace_settings", workspace.slug)
    plan = plan_in_force(workspace.plan, workspace.overrides)
    shown = {"form": form, "plan": plan, "allowances": workspace_settings.allowances(plan)}
    shown |= {"retention": workspace_settings.retention_in_words(workspace), "may_delete": here.may(Action.DELETE)}
    shown |= {"pruned": pruned.last_pruned(workspace.pk)}
    if here.may(Action.EXPORT):
        shown |= exports.shown(workspace)
    return render(request, "accounts/workspace_settings.html", shown, status=400 if form.errors else 200)
