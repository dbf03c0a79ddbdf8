"""The people of a workspace: the list, a page for each whom one may manage, leaving, handing over."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invites, members, paid, roles, services
from accounts.here import Here, member_page
from accounts.models import Member
from accounts.roles import Action
from crosswire.lib.errors import CrossWireError

KEY = [MinValueValidator(0), MaxValueValidator(2**63 - 1)]


class AfterForm(forms.Form):
    """Which part of a list is asked for."""

    after = forms.IntegerField(required=False, validators=KEY)


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(label="E-mail address", max_length=invites.EMAIL_MOST)
    role = forms.ChoiceField(initial=Member.Role.MEMBER)

    def __init__(self, grantable: list[Member.Role], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [(each.value, each.label) for each in grantable]  # type: ignore[attr-defined] # a ChoiceField's


class HandOverForm(forms.Form):
    """Who is to be the owner; typing the workspace's name shows that it is meant."""

    member = forms.ChoiceField(label="New owner")
    name = forms.CharField(max_length=200)

    def __init__(self, owner: Member, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace_name = owner.workspace.name
        others = Member.objects.filter(workspace=owner.workspace_id).exclude(pk=owner.pk).select_related("user")
        names = [(each.pk, f"{each.user.get_full_name()} ({each.user.email})") for each in others.order_by("pk")]
        self.fields["member"].choices = names  # type: ignore[attr-defined] # a ChoiceField's
        self.fields["name"].label = f"Type the workspace's name to confirm: {self.workspace_name}"

    def clean_name(self) -> str:
        """Refuse any other text than the name."""
        name: str = self.cleaned_data["name"]
        if name != self.workspace_name:
            raise forms.ValidationError("This is not the workspace's name.")
        return name


@require_safe
@member_page(Action.VIEW)
def members_page(request: HttpRequest, here: Here) -> HttpResponse:
    """List the people, and to those who may invite the invites that wait."""
    return _show(request, here, InviteForm(roles.grantable(here.member.role)))


@require_POST
@member_page(Action.MANAGE_MEMBERS)
def invite(request: HttpRequest, here: Here) -> HttpResponse:
    """Invite an address."""
    form = InviteForm(roles.grantable(here.member.role), request.POST)
    if form.is_valid():
        try:
            sent = invites.send(here.member, **form.cleaned_data)
        except CrossWireError as refusal:
            form.add_error("email", refusal.message)
        else:
            _tell(request, sent)
            return redirect("members", here.workspace.slug)
    return _show(request, here, form, status=400)


@require_POST
@member_page(Action.MANAGE_MEMBERS)
def resend(request: HttpRequest, here: Here, invite: int) -> HttpResponse:
    """Mail a new link for an invite that waits."""
    _tell(request, invites.resend(here.member, invite))
    return redirect("members", here.workspace.slug)


@require_POST
@member_page(Action.MANAGE_MEMBERS)
def revoke(request: HttpRequest, here: Here, invite: int) -> HttpResponse:
    """Withdraw an invite that waits."""
    withdrawn = invites.revoke(here.member, invite)
    messages.success(request, f"The invite of {withdrawn.email} is withdrawn; its link no longer works.")
    return redirect("members", here.workspace.slug)


@require_safe
@member_page(Action.MANAGE_MEMBERS)
def member(request: HttpRequest, here: Here, member: int) -> HttpResponse:
    """Show what may be changed about one person."""
    other = members.colleague(here.member, member)
    shown = {
        "other": other,
        "may_manage": members.may_manage(here.member, other),
        "roles": roles.grantable(here.member.role),
        "keys": services.live_keys(here.workspace).filter(created_by=other.user).count(),
    }
    return render(request, "accounts/member.html", shown)


@require_POST
@member_page(Action.MANAGE_MEMBERS)
def set_role(request: HttpRequest, here: Here, member: int) -> HttpResponse:
    """Give a person another role."""
    changed = members.set_role(here.member, member, request.POST.get("role", ""))
    messages.success(request, f"{changed.user.get_full_name()} is now {changed.get_role_display().lower()}.")
    return redirect("members", here.workspace.slug)


@require_POST
@member_page(Action.MANAGE_MEMBERS)
def remove(request: HttpRequest, here: Here, member: int) -> HttpResponse:
    """Take a person out of the workspace."""
    gone = members.remove(here.member, member)
    messages.success(request, f"{gone.user.get_full_name()} is no longer a member. Keys they made go on working.")
    return redirect("members", here.workspace.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.HAND_OVER)
def hand_over(request: HttpRequest, here: Here) -> HttpResponse:
    """Make somebody else the owner."""
    form = HandOverForm(here.member, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        owner = members.hand_over(here.member, int(form.cleaned_data["member"]))
        messages.success(request, f"{owner.user.get_full_name()} owns this workspace now; you are an admin.")
        return redirect("members", here.workspace.slug)
    shown = {"form": form, "paid": paid.paid_for(here.workspace)}
    return render(request, "accounts/hand_over.html", shown, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.VIEW, while_suspended=True)
def leave(request: HttpRequest, here: Here) -> HttpResponse:
    """Take oneself out of the workspace."""
    if request.method == "POST":
        members.leave(here.member)
        messages.success(request, f"You left {here.workspace.name}.")
        return redirect("home")
    keys = services.live_keys(here.workspace).filter(created_by=here.user).count()
    shown = {"is_last_owner": members.is_last_owner(here.member), "keys": keys}
    return render(request, "accounts/leave.html", shown)


def _show(request: HttpRequest, here: Here, form: InviteForm, status: int = 200) -> HttpResponse:
    part = AfterForm(request.GET)
    after = part.cleaned_data["after"] or 0 if part.is_valid() else 0
    people = members.listed(here.member, after)
    may_manage = here.may(Action.MANAGE_MEMBERS)
    shown = {
        "people": people,
        "next": people[-1].member.pk if len(people) == members.LISTED_MOST else None,
        "form": form,
        "may_manage": may_manage,
        "may_hand_over": here.may(Action.HAND_OVER),
        "invites": _waiting(here) if may_manage else [],
    }
    return render(request, "accounts/members.html", shown, status=status)


def _waiting(here: Here) -> list[dict[str, Any]]:
    grantable = roles.grantable(here.member.role)
    return [{"invite": each, "may_change": each.role in grantable} for each in invites.pending_in(here.workspace)]


def _tell(request: HttpRequest, sent: invites.Sent) -> None:
    if sent.is_mailed:
        messages.success(request, f"An invite is on its way to {sent.invite.email}. It works for 7 days.")
    else:
        messages.warning(
            request, f"{sent.invite.email} is invited, but the mail could not be sent. Send it again later."
        )
