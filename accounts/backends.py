"""How a password is checked."""

from __future__ import annotations

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.models import User


class PasswordHasher(Argon2PasswordHasher):
    """Argon2id as OWASP recommends it for servers. Django's own takes four times the work and 100 MB a time, which
    whoever guesses passwords has us spend."""

    time_cost = 1
    memory_cost = 47_104
    parallelism = 1


class PasswordBackend(AuthenticationBackend):  # type: ignore[misc] # allauth has no types
    """allauth's, but the last to be asked: another one would hash a wrong password again."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> User | None:
        """Return whose password it is. Raises: PermissionDenied."""
        user: User | None = super().authenticate(request, **credentials)
        if user is None:
            raise PermissionDenied
        return user
