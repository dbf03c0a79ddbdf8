"""A key as the database and the door see it."""

from __future__ import annotations

from accounts import principals
from accounts.models import ApiKey
from crosswire.lib import keys
from crosswire.lib.errors import CrossWireError


def key_row(key: str) -> ApiKey:
    """Return the row of a key."""
    return ApiKey.objects.get(digest=keys.digest(key))


def code_of(key: str) -> str:
    """Return the code with which a key is refused, "" when it works."""
    try:
        principals.authenticate(key)
    except CrossWireError as refusal:
        return refusal.code
    return ""
