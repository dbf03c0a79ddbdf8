"""Forms of a person's account."""

from __future__ import annotations

import zoneinfo
from functools import cache
from itertools import groupby
from typing import Any, ClassVar

from allauth.account.forms import (
    AddEmailForm,
    ChangePasswordForm,
    LoginForm,
    ResetPasswordKeyForm,
    SetPasswordForm,
    SignupForm,
)
from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from allauth.account.utils import get_next_redirect_url
from django import forms
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts import signup
from accounts.models import User
from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import one_line

NAME_MOST = 80
RULES = "At least 8 characters, and none of the common ones."
_REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def time_zones() -> frozenset[str]:
    """Return the zones of the IANA list that are named by a place, and UTC."""
    return frozenset({"UTC"} | {name for name in zoneinfo.available_timezones() if name.partition("/")[0] in _REGIONS})


@cache
def time_zone_choices() -> list[tuple[str, Any]]:
    """Return the zones by region, as a select shows them."""
    placed = sorted(time_zones() - {"UTC"})
    regions = groupby(placed, key=lambda name: name.partition("/")[0])
    return [
        ("UTC", "UTC"),
        *((region, [(name, name.partition("/")[2].replace("_", " ")) for name in names]) for region, names in regions),
    ]


class ZoneSelect(forms.Select):
    """A select of many hundred zones, written in one go: Django renders a template for each."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the HTML."""
        given = self.build_attrs(self.attrs, {"name": name} | (attrs or {}))
        start = format_html_join("", ' {}="{}"', ((key, each) for key, each in given.items() if each is not True))
        flags = "".join(f" {key}" for key, each in given.items() if each is True)
        body = (
            _zone_options().replace(f'value="{value}">', f'value="{value}" selected>') if value in time_zones() else ""
        )
        return mark_safe(f"<select{start}{flags}>{body or _zone_options()}</select>")  # noqa: S308 - names of zones alone


@cache
def _zone_options() -> str:
    parts = []
    for label, inside in time_zone_choices():
        if isinstance(inside, str):
            parts.append(f'<option value="{label}">{inside}</option>')
        else:
            options = "".join(f'<option value="{zone}">{place}</option>' for zone, place in inside)
            parts.append(f'<optgroup label="{label}">{options}</optgroup>')
    return "".join(parts)


def clean_name(name: str) -> str:
    """Return a name that fits on one line. Raises: ValidationError."""
    try:
        return one_line("Your name", name, most=NAME_MOST, least=0)
    except CrossWireError as refusal:
        raise forms.ValidationError(refusal.message) from refusal


class SignInForm(LoginForm):  # type: ignore[misc] # allauth has no types
    """An address and a password, typed at once: that is what the page is for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].widget.attrs["autofocus"] = True


class SignUpForm(SignupForm):  # type: ignore[misc] # allauth has no types
    """A new account. An address that has one already costs the same work, and gets the same answer."""

    name = forms.CharField(
        label="Your name (optional)",
        required=False,
        max_length=NAME_MOST,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    time_zone = forms.CharField(required=False, widget=forms.HiddenInput(attrs={"data-time-zone": ""}))
    field_order: ClassVar[list[str]] = ["name", "email", "password1"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = RULES
        self.fields["name"].widget.attrs["autofocus"] = True

    def clean_name(self) -> str:
        """Return the name on one line."""
        return clean_name(self.cleaned_data["name"])

    def try_save(self, request: HttpRequest) -> Any:
        """Store the person; an address that is taken costs a hash all the same.

        An address that was never confirmed gets a new code. What this attempt says counts once that code is entered
        in this browser, so that nobody else's attempt decides about the password.
        """
        if not self.account_already_exists:
            return super().try_save(request)
        again = signup.Again(make_password(self.cleaned_data["password1"]), self.cleaned_data["name"], self._zone())
        user = signup.unconfirmed(self.cleaned_data["email"])
        if user is None:
            return super().try_save(request)
        target = get_next_redirect_url(request)
        login = Login(user=user, redirect_url=target, signup=True, state={signup.AGAIN: again._asdict()})
        return None, perform_login(request, login)

    def signup(self, request: HttpRequest, user: User) -> None:
        """Add what is ours."""
        user.name, user.time_zone = self.cleaned_data["name"], self._zone()
        user.save(update_fields=["name", "time_zone"])

    def _zone(self) -> str:
        zone: str = self.cleaned_data["time_zone"]
        return zone if zone in time_zones() else "UTC"


class _NewPassword(forms.Form):
    """Says in one line what a password has to be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = RULES
        self.fields["password1"].label, self.fields["password2"].label = "New password", "New password again"


class ChangeForm(_NewPassword, ChangePasswordForm):  # type: ignore[misc] # as above
    """A new password in place of the current one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["oldpassword"].label = "Current password"


class SetForm(_NewPassword, SetPasswordForm):  # type: ignore[misc] # as above
    """A first password."""


class ResetForm(_NewPassword, ResetPasswordKeyForm):  # type: ignore[misc] # as above
    """A new password in place of a forgotten one."""


class EmailForm(AddEmailForm):  # type: ignore[misc] # as above
    """Another address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "New email"


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg] # generic in the stubs alone
    """Name, time zone and mail."""

    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=time_zone_choices,
        widget=ZoneSelect,
        help_text="Times on all pages are shown in it.",
    )

    class Meta:
        model = User
        fields = ("name", "time_zone", "wants_mail")
        labels: ClassVar[dict[str, str]] = {
            "name": "Name",
            "wants_mail": "Mail me about what happens in my workspaces",
        }
        help_texts: ClassVar[dict[str, str]] = {
            "name": "What members of your workspaces see beside your messages.",
            "wants_mail": "Such as a quota that is nearly used up. Codes and security notices always come.",
        }
        widgets: ClassVar[dict[str, Any]] = {
            "name": forms.TextInput(attrs={"autocomplete": "name", "maxlength": NAME_MOST})
        }

    def clean_name(self) -> str:
        """Return the name on one line."""
        return clean_name(self.cleaned_data["name"])
