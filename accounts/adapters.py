"""How allauth fits this product: whose address counts, where people land, what mails say, how secrets are kept."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import signup
from accounts.models import User
from crosswire.lib import http, mail, sealed
from crosswire.lib.text import printable

logger = logging.getLogger(__name__)

EMAIL_MOST = 254
SECOND_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def shown_name(user: User) -> str:
    """Return what messages and passkeys call a person."""
    return user.get_full_name()


def has_second_factor(user: User) -> bool:
    """Return whether signing in as this person takes more than a password."""
    return bool(Authenticator.objects.filter(user=user, type__in=SECOND_FACTORS).exists())


def _providers() -> str:
    names = {"google": "Google", "github": "GitHub"}
    return " or ".join(names.get(each, each) for each in settings.SOCIALACCOUNT_PROVIDERS)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth has no types
    """Signing in and up, and what is mailed about it."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "This address and this password do not belong together.",
        "too_many_login_attempts": f"Too many attempts. Try again in {settings.LOCK_SECONDS // 60} minutes.",
        "incorrect_code": "This code is not the one we sent.",
        "incorrect_password": "This is not your password.",
        "enter_current_password": "This is not your current password.",
        "rate_limited": "Wait ten seconds before asking for another code.",
        "duplicate_email": "This is your address already.",
    }

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return whose address rate limits and the list of sessions name, past the proxies in TRUSTED_PROXIES."""
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
        scope = {
            "client": (request.META.get("REMOTE_ADDR") or "", 0),
            "headers": [(b"x-forwarded-for", forwarded.encode("latin-1", "replace"))] if forwarded else [],
        }
        return str(http.client_ip(scope) or "0.0.0.0")  # noqa: S104 - unknown ones count as one

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Return what failed passwords are counted under: allauth's holds the Host header, whose port is anybody's."""
        return str(credentials.get("email", "")).lower()

    def is_safe_url(self, url: str) -> bool:
        """Return whether a person may be sent there: to this host, nowhere else."""
        host = context.request.get_host() if context.request else settings.PUBLIC_HOST
        return url_has_allowed_host_and_scheme(url, allowed_hosts={host})

    def clean_email(self, email: str) -> str:
        """Return an address that fits its column and a mail. Raises: ValidationError."""
        if len(email) > EMAIL_MOST:
            raise ValidationError(f"An address has at most {EMAIL_MOST} characters.")
        if not mail.is_mailable(email):
            raise ValidationError("No mail can be sent to this address.")
        return email

    def login(self, request: HttpRequest, user: User) -> None:
        """Start the session; at the first time ever see to it that there is a workspace to go to."""
        is_first = user.last_login is None
        super().login(request, user)
        if is_first:
            request.landing = signup.welcome(request, user)  # type: ignore[attr-defined] # read just below

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        """Return where a new person goes."""
        return self.get_login_redirect_url(request)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Return where a person goes who did not ask for a page."""
        landing: str | None = getattr(request, "landing", None)
        return landing or str(super().get_login_redirect_url(request))

    def get_email_verification_redirect_url(self, email_address: EmailAddress) -> str:
        """Return to the page of the address somebody who changed theirs."""
        if self.request.user.is_authenticated:
            return reverse("account_email")
        return str(super().get_email_verification_redirect_url(email_address))

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Stay on the page, which says that it is done."""
        return request.path

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Mail somebody. Where that fails they are told, except of news about their account, which is logged."""
        is_needed = "code" in context or template_prefix.endswith(("already_exists", "unknown_account"))
        try:
            super().send_mail(
                template_prefix, email, context | {"public_url": settings.PUBLIC_URL, "providers": _providers()}
            )
        except (OSError, UnicodeError, AnymailError):
            logger.exception("Mail %s was not sent", template_prefix)
            if is_needed:
                answer = render(self.request, "account/mail_failed.html", status=503)
                raise ImmediateHttpResponse(answer) from None


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc] # as above
    """Google and GitHub, as the settings have them; rows of SocialApp play no part."""

    def list_apps(self, request: HttpRequest, provider: str | None = None, client_id: str | None = None) -> list[Any]:
        """Return what is configured."""
        return [
            SocialApp(
                provider=name, **{field: value for field, value in app.items() if field in ("client_id", "secret")}
            )
            for name, options in settings.SOCIALACCOUNT_PROVIDERS.items()
            for app in options["APPS"]
            if provider in (None, name) and client_id in (None, app["client_id"])
        ]

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        """Return one that is configured. Raises: Http404 for others."""
        for app in self.list_apps(request, provider, client_id):
            return app
        raise Http404

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Take over the name as well; of what the other side tells keep what names the account in our list."""
        told = sociallogin.account.extra_data
        sociallogin.account.extra_data = {
            field: printable(str(told[field]), EMAIL_MOST) for field in ("login", "name", "email") if told.get(field)
        }
        user: User = super().populate_user(request, sociallogin, data)
        given = data.get("name") or " ".join(filter(None, (data.get("first_name"), data.get("last_name"))))
        user.name = printable(str(given), 80)
        return user


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc] # as above
    """Second factors: secrets are sealed, passkeys belong to this installation by name."""

    error_messages = DefaultMFAAdapter.error_messages | {"incorrect_code": "This code does not fit."}

    def encrypt(self, text: str) -> str:
        """Seal a secret for the database."""
        return sealed.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Open it again."""
        return sealed.unseal(encrypted_text)

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's name
        """Return a name for a new passkey until its owner gives it one."""
        count = Authenticator.objects.filter(user=user, type=type).count()
        return f"Passkey {count + 1}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return whom passkeys are for."""
        return {**super().get_public_key_credential_rp_entity(), "name": "CrossWire"}
