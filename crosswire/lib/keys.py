"""API keys: 160 random bits, shown once, kept as a digest."""

from __future__ import annotations

import base64
import hashlib
import secrets

PREFIX = "cw_"
DISPLAY_LENGTH = 11
"""How much of a key stays readable after it was shown once: `cw_` and eight characters."""


def generate() -> str:
    """Return a new key, `cw_` and 160 random bits in lower-case base 32."""
    return PREFIX + base64.b32encode(secrets.token_bytes(20)).decode("ascii").lower()


def digest(key: str) -> str:
    """Return the SHA-256 under which a key is stored. 160 random bits need no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def display_prefix(key: str) -> str:
    """Return the part of a key that lists may show."""
    return key[:DISPLAY_LENGTH]
