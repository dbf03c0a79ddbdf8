"""Deleting one's account."""

from __future__ import annotations

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import leaving, paid
from accounts.here import refused
from accounts.models import User
from crosswire.lib.errors import CrossWireError


class DeleteForm(forms.Form):
    """Asks for the e-mail address, so that nobody deletes by accident."""

    typed = forms.CharField(label="Type your e-mail address", max_length=254, required=False)

    def __init__(self, *args: object, email: str, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # whatever a form takes
        self.email = email
        self.fields["typed"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false", "inputmode": "email"}

    def clean_typed(self) -> str:
        """Compare. Raises: ValidationError."""
        typed: str = self.cleaned_data["typed"]
        if typed.lower() != self.email.lower():
            raise forms.ValidationError(f"That is not your address. Type {self.email}.")
        return typed


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@reauthentication_required  # type: ignore[untyped-decorator] # allauth ships no types
def delete_account(request: HttpRequest) -> HttpResponse:
    """Show what goes, or delete the account and sign out."""
    assert isinstance(request.user, User)
    form = DeleteForm(request.POST if request.method == "POST" else None, email=request.user.email, label_suffix="")
    if form.is_valid():
        try:
            leaving.close(request.user)
        except CrossWireError as refusal:
            return refused(request, refusal)
        auth.logout(request)
        messages.success(request, "Your account is deleted. A last mail follows once everything is erased.")
        return redirect("index")
    going = leaving.what_goes(request.user)
    alone = [(workspace, paid.paid_for(workspace)) for workspace in going.alone]
    shown = {"form": form, "going": going, "alone": alone}
    return render(request, "accounts/delete_account.html", shown, status=400 if form.errors else 200)
