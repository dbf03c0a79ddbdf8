"""The pages that ask for a mailed code: allauth's, but a code that ran out is said to have."""

from __future__ import annotations

import time
from typing import Any

from allauth.account.internal.decorators import login_not_required
from allauth.account.views import ConfirmEmailVerificationCodeView, ConfirmPasswordResetCodeView
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import signup

STARTED = ("account_email_verification_code", "account_password_reset_verification")
"""Where the session keeps the codes it waits for."""


class ConfirmEmail(ConfirmEmailVerificationCodeView):  # type: ignore[misc] # allauth has no types
    """Asks for the code that proves an address."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Tell when the code ran out."""
        return _tell(request, super().dispatch, STARTED[0], "Sign in or sign up again, and we send another one.")

    def _verify_form_valid(self, form: Any) -> HttpResponse:
        """Let the password and the name of a repeated sign-up count."""
        if self.stage and self.stage.login.user:
            signup.settle(self.stage.login.user, self.stage.login.state)
        answer: HttpResponse = super()._verify_form_valid(form)
        return answer

    def _verify_form_invalid(self, form: Any) -> HttpResponse:
        """After the last wrong code say how to go on."""
        if self._process.record_invalid_attempt():
            asked_again: HttpResponse = self.render_to_response(self.get_context_data(form=form))
            return asked_again
        if self.request.user.is_authenticated:
            messages.error(self.request, "Too many wrong codes. Ask for a new one here.")
            return redirect("account_email")
        messages.error(
            self.request,
            "Too many wrong codes. Sign in with your address and password to get a new code, or sign up again.",
        )
        return redirect("account_login")


class ConfirmReset(ConfirmPasswordResetCodeView):  # type: ignore[misc] # as above
    """Asks for the code that lets somebody choose a new password."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Tell when the code ran out."""
        return _tell(request, super().dispatch, STARTED[1], "Ask for another one.")


def _tell(request: HttpRequest, dispatch: Any, key: str, remedy: str) -> HttpResponse:
    waiting_since = request.session.get(key, {}).get("at")
    if waiting_since is not None and time.time() - waiting_since > settings.CODE_SECONDS:
        messages.warning(request, f"The code is no longer valid. {remedy}")
    response: HttpResponse = dispatch(request)
    return response


confirm_email = login_not_required(ConfirmEmail.as_view())
confirm_reset = login_not_required(ConfirmReset.as_view())
