"""What people decide about a channel."""

from __future__ import annotations

from django import forms
from django.contrib import messages as flash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts import rates
from accounts.here import Here, member_page
from accounts.roles import Action
from bus.services import moderation
from bus.views.channel import find

_DONE = {
    "pause": (moderation.pause, "#{} is paused: agents are told, and cannot write until somebody resumes it."),
    "resume": (moderation.resume, "#{} goes on."),
    "archive": (moderation.archive, "#{} is archived. A message in it brings it back."),
    "unarchive": (moderation.unarchive, "#{} is back."),
}


class Decision(forms.Form):
    """What is to be done, and the new description where that is it."""

    do = forms.ChoiceField(choices=[(each, each) for each in (*_DONE, "describe")])
    description = forms.CharField(max_length=500, required=False)


@require_POST
@member_page(Action.MODERATE)
def moderate(request: HttpRequest, here: Here, name: str) -> HttpResponse:
    """Pause, resume, archive, bring back, or describe a channel."""
    rates.count_operation(here.principal)  # what is announced costs nothing of the quota
    channel, _ = find(here, name)
    form = Decision(request.POST)
    if not form.is_valid():
        flash.error(request, str(next(iter(form.errors.values()))[0]))
    elif form.cleaned_data["do"] == "describe":
        about = form.cleaned_data["description"]
        moderation.describe(here.principal, channel=channel.name, description=about, actor=here.actor)
    else:
        change, said = _DONE[form.cleaned_data["do"]]
        change(here.principal, channel=channel.name, actor=here.actor)
        flash.success(request, said.format(channel.name))
    return redirect("channel", here.workspace.slug, channel.name)
