"""Forms that make a key: the same one sent twice, as reloading its answer does, makes one key."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.http import HttpRequest

FIELD = "once"
KEPT_SECONDS = 24 * 3_600
"""How long it is known that a form was sent."""


class SentAlreadyError(Exception):
    """This form was sent before, and did what it asks for."""


def token() -> str:
    """Return what tells one form from every other."""
    return secrets.token_urlsafe(16)


@contextmanager
def only_once(request: HttpRequest) -> Iterator[None]:
    """Do what a form asks for unless it was done; where it fails it may be sent again. A form without token is new.

    Raises: SentAlreadyError.
    """
    sent = request.POST.get(FIELD, "")
    name = f"once-{request.user.pk}-{hashlib.sha256(sent.encode()).hexdigest()}"
    if sent and not cache.add(name, 1, KEPT_SECONDS):
        raise SentAlreadyError
    try:
        yield
    except BaseException:
        cache.delete(name)
        raise
