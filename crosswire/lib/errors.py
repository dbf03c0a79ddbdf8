"""The one way the product says no: a stable code, a status, a sentence somebody can act on."""

from __future__ import annotations

from typing import Any

CODES: dict[str, int] = {
    "invalid_input": 400,
    "unauthorized": 401,
    "payment_declined": 402,
    "suspended": 403,
    "wrong_instance": 403,
    "read_only_key": 403,
    "forbidden": 403,
    "bad_origin": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "idempotency_conflict": 409,
    "instance_in_use": 409,
    "paused": 409,
    "claimed": 409,
    "not_claimable": 409,
    "too_large": 413,
    "address_too_long": 414,
    "unsupported_media_type": 415,
    "bad_host": 421,
    "rate_limited": 429,
    "quota_exceeded": 429,
    "limit_reached": 429,
    "headers_too_large": 431,
    "internal": 500,
    "unavailable": 503,
}
"""Every code a client can meet and the HTTP status it comes with."""


class CrossWireError(Exception):
    """A refusal. `message` is shown to people and models; `details` are extra JSON keys of the answer.

    `retry_after` (seconds) becomes the Retry-After header where the surface has headers, `challenge` the
    WWW-Authenticate of a 401 (RFC 6750, section 3: no error is named when no key was sent).
    """

    challenge = 'Bearer realm="CrossWire", error="invalid_token"'

    def __init__(self, code: str, message: str, *, retry_after: int | None = None, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = CODES[code]
        self.retry_after = retry_after
        self.details = details if retry_after is None else {**details, "retry_after": retry_after}

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object every surface shows."""
        return {"error": self.message, "code": self.code, **self.details}


class InvalidInputError(CrossWireError, ValueError):
    """A refusal that pydantic collects with the others of a call, being a ValueError."""


def invalid(message: str, **details: Any) -> CrossWireError:
    """Return a 400 for input that can never be right."""
    return InvalidInputError("invalid_input", message, **details)


def not_found(message: str, **details: Any) -> CrossWireError:
    """Return a 404. Absent and somebody else's are told alike."""
    return CrossWireError("not_found", message, **details)


def unavailable(message: str, retry_after: int = 2) -> CrossWireError:
    """Return a 503 that names when to try again."""
    return CrossWireError("unavailable", message, retry_after=retry_after)
