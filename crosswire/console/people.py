"""People as operators see them: no password is shown or set here, and nobody acts in somebody's name."""

from __future__ import annotations

from typing import Any, override

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from accounts import audit_log, operators
from accounts.adapters import SECOND_FACTORS
from accounts.models import ApiKey, AuditEvent, Member, User
from accounts.templatetags.pages import ago, moment
from crosswire.console.deeds import Deed
from crosswire.console.marks import badge, standing
from crosswire.console.rows import ConditionFilter, Rows

MEMBERSHIPS_MOST = 100
EVENTS_MOST = 50


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(max_length=200, help_text="Operators read it in the audit log; the person does not.")


class Deactivate(Deed[User]):
    """Shut somebody out."""

    name, title, button, right = "deactivate", "Deactivate", "Deactivate the account", "people"
    means = (
        "Every session of theirs ends now and nobody signs in to the account. Their workspaces stay as they are; so do "
        "keys they made: revoke those one by one, or suspend the workspace."
    )
    done = "The account is deactivated."
    is_dangerous = True
    form_class = ReasonForm

    @classmethod
    @override
    def is_offered(cls, row: User) -> bool:
        return row.is_active

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        operators.deactivate(self.row, given["reason"], by=by)


class Reactivate(Deed[User]):
    """Let somebody in again."""

    name, title, button, right = "reactivate", "Reactivate", "Let them in again", "people"
    means = "They can sign in again, as before."
    done = "The account is active again."

    @classmethod
    @override
    def is_offered(cls, row: User) -> bool:
        return not row.is_active and row.closing_at is None

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        operators.reactivate(self.row, by=by)


class _BySuperusers(Deed[User]):
    """A deed that makes or unmakes operators."""

    @classmethod
    @override
    def is_allowed(cls, operator: Any) -> bool:
        return bool(operator.is_superuser)


class RightsForm(forms.Form):
    """What an operator may do."""

    rights = forms.MultipleChoiceField(
        label="They may, beside looking",
        choices=[(name, meaning) for name, (_, meaning) in operators.RIGHTS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )


class MakeOperator(_BySuperusers):
    """Make somebody an operator, or change what they may."""

    name, title, button = "operator", "Operator's rights", "Give these rights"
    means = (
        "Operators see every workspace and every person here, without messages and shared data. They need two-factor "
        "sign-in."
    )
    done = "They are an operator."
    is_dangerous = True

    @classmethod
    @override
    def is_offered(cls, row: User) -> bool:
        return row.is_active and not row.is_superuser

    @override
    def form(self, data: Any) -> forms.Form:
        return RightsForm(data, initial={"rights": operators.rights_of(self.row) if self.row.is_staff else []})

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        operators.make_operator(self.row, given["rights"], by=by)


class UnmakeOperator(_BySuperusers):
    """Take an operator's rights."""

    name, title, button = "unmake_operator", "Take operator's rights", "Take their rights"
    means = "They can no longer enter here. Their account and their workspaces stay as they are."
    done = "They are an operator no more."
    is_dangerous = True

    @classmethod
    @override
    def is_offered(cls, row: User) -> bool:
        return row.is_staff or row.is_superuser

    @override
    def do(self, given: dict[str, Any], by: User) -> None:
        operators.unmake_operator(self.row, by=by)


class StandingFilter(ConditionFilter):
    """By what people may do."""

    title, parameter_name = "standing", "standing"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return the kinds."""
        return {
            "active": ("Active", Q(is_active=True)),
            "deactivated": ("Deactivated", Q(is_active=False, closing_at=None)),
            "operators": ("Operators", Q(is_staff=True)),
        }


class SecondFactorFilter(ConditionFilter):
    """By how people sign in."""

    title, parameter_name = "second factor", "second_factor"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """Return yes and no."""
        return {"yes": ("Yes", Q(has_second_factor=True)), "no": ("No", Q(has_second_factor=False))}


class People(Rows):
    """Everybody with an account."""

    heading = "People"
    list_display = ("email", "name", "standing", "operator", "second_factor", "workspaces", "joined", "signed_in")
    list_filter = (StandingFilter, SecondFactorFilter)
    ordering = ("-date_joined", "-pk")
    search_fields = ("email",)
    search_help_text = "A part of the address or of the name."
    page_template = "console/person.html"
    deeds = (MakeOperator, UnmakeOperator, Deactivate, Reactivate)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Return everybody, with what the list shows beside."""
        second_factors = Authenticator.objects.filter(user=OuterRef("pk"), type__in=SECOND_FACTORS)
        return User.objects.annotate(
            has_second_factor=Exists(second_factors), workspace_count=Count("memberships", distinct=True)
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Find people by a part of what they are called."""
        wanted = search_term.strip()
        found = Q(email__icontains=wanted) | Q(name__icontains=wanted)
        return (queryset.filter(found) if wanted else queryset), False

    @admin.display(description="state", ordering="is_active")
    def standing(self, row: User) -> str:
        """What they may do."""
        return standing(row)

    @admin.display(description="operator", ordering="is_staff")
    def operator(self, row: User) -> str:
        """Whether they may enter here."""
        if row.is_superuser and row.is_staff:
            return badge("superuser", "accent")
        return badge("operator", "accent") if row.is_staff else ""

    @admin.display(description="second factor", ordering="has_second_factor")
    def second_factor(self, row: Any) -> str:
        """Whether signing in takes more than a password."""
        return "yes" if row.has_second_factor else "no"

    @admin.display(description="workspaces", ordering="workspace_count")
    def workspaces(self, row: Any) -> str:
        """In how many they are."""
        return str(row.workspace_count)

    @admin.display(description="joined", ordering="date_joined")
    def joined(self, row: User) -> str:
        """When they signed up."""
        return moment(row.date_joined)

    @admin.display(description="signed in", ordering="last_login")
    def signed_in(self, row: User) -> str:
        """When they signed in last."""
        return ago(row.last_login) or "never"

    def about(self, request: HttpRequest, row: User) -> dict[str, Any]:
        """Return everything an operator may know of one person."""
        memberships = Member.objects.filter(user=row).select_related("workspace").order_by("pk")
        events = AuditEvent.objects.filter(workspace=None, action__startswith="account.", target=row.email[:200])
        return {
            "standing": standing(row),
            "rights": [operators.RIGHTS[right][1] for right in operators.rights_of(row)] if row.is_staff else [],
            "addresses": EmailAddress.objects.filter(user=row).order_by("-primary", "pk")[:10],
            "factors": Authenticator.objects.filter(user=row, type__in=SECOND_FACTORS).order_by("pk")[:20],
            "sessions": UserSession.objects.filter(user=row).count(),
            "keys_made": ApiKey.objects.filter(created_by=row, revoked_at=None).count(),
            "memberships": memberships[:MEMBERSHIPS_MOST],
            "entries": [audit_log.Entry(each, "") for each in events.order_by("-pk")[:EVENTS_MOST]],
        }
