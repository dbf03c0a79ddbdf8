"""Forms of passkeys: allauth's, but none of them falls over what a hostile browser sends."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.webauthn import forms as webauthn
from cryptography.exceptions import InvalidSignature
from django import forms

from accounts.forms import NAME_MOST


class _Credential(forms.Form):
    """Takes what a browser made of a passkey; what is none is a wrong answer, not a fault."""

    def clean(self) -> Any:
        """Check the whole. Raises: ValidationError."""
        with _refused():
            return super().clean()

    def clean_credential(self) -> Any:
        """Check the passkey. Raises: ValidationError."""
        checked = getattr(super(), "clean_credential", None)
        if checked is None:
            return self.cleaned_data["credential"]
        with _refused():
            return checked()


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, InvalidSignature, struct.error) as problem:
        raise forms.ValidationError("This passkey was not accepted.") from problem


class AddForm(_Credential, webauthn.AddWebAuthnForm):  # type: ignore[misc] # allauth has no types
    """A new passkey: without a tick at `passwordless` it is a second factor alone."""

    name = forms.CharField(required=False, max_length=NAME_MOST, help_text="To tell it from others, such as “laptop”.")
    passwordless = forms.BooleanField(
        label="Sign in with it alone, without a password",
        required=False,
        initial=True,
        help_text="Needs a fingerprint, a face or a PIN. Otherwise it is asked for after the password.",
    )


class RenameForm(webauthn.EditWebAuthnForm):  # type: ignore[misc] # as above
    """Another name for a passkey."""

    name = forms.CharField(max_length=NAME_MOST)


class LoginForm(_Credential, webauthn.LoginWebAuthnForm):  # type: ignore[misc] # as above
    """Signing in with a passkey alone."""


class AuthenticateForm(_Credential, webauthn.AuthenticateWebAuthnForm):  # type: ignore[misc] # as above
    """A passkey after the password."""


class ReauthenticateForm(_Credential, webauthn.ReauthenticateWebAuthnForm):  # type: ignore[misc] # as above
    """A passkey to show that it is still the same person."""
