"""Secrets that have to be read again (those of authenticator apps) are kept sealed with SECRET_KEY."""

from __future__ import annotations

import base64
import hashlib
import logging
import os

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

logger = logging.getLogger(__name__)


def seal(text: str) -> str:
    """Return a text that only this installation can open."""
    return _box().encrypt(text.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    """Return what was sealed; where SECRET_KEY is another one now, something random that fits nothing."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        logger.exception("A secret was sealed with another SECRET_KEY: put that one into SECRET_KEY_FALLBACKS")
        return base64.b32encode(os.urandom(20)).decode("ascii")


def _box() -> MultiFernet:
    """Return what seals with the current key and opens with earlier ones too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key))) for key in keys])


def _derived(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=32, person=b"crosswire.sealed").digest()
