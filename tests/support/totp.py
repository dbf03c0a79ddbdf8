"""What an authenticator app shows."""

from __future__ import annotations

import base64
import hmac
import time


def code_of(secret: str, *, steps: int = 0) -> str:
    """Return the six digits for a secret, so many half minutes from now (RFC 6238)."""
    counter = int(time.time()) // 30 + steps
    digest = hmac.new(base64.b32decode(secret), counter.to_bytes(8, "big"), "sha1").digest()
    start = digest[-1] & 15
    return f"{int.from_bytes(digest[start : start + 4], 'big') % 2**31 % 10**6:06d}"
