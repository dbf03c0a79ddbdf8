"""Refusals in Stripe's error shape."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal. `is_kept`: what the request did before it was refused stays, as a declined payment does."""

    def __init__(self, status: int, kind: str, message: str, *, is_kept: bool = False, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.is_kept = is_kept
        self.error = {"type": kind, "message": message, **{name: value for name, value in more.items() if value}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the refusal of a request that cannot be carried out as it stands."""
    return ApiError(400, "invalid_request_error", message, param=param, code=code)


def missing(kind: str, identifier: str, param: str = "id", *, is_address: bool = True) -> ApiError:
    """Return the refusal for an object that is not there: 404 when the address names it, else 400."""
    name = kind.rpartition(".")[2].replace("_", " ")
    return ApiError(
        404 if is_address else 400,
        "invalid_request_error",
        f"No such {name}: '{identifier}'",
        param=param,
        code="resource_missing",
    )


def unauthorized(key: str) -> ApiError:
    """Return the refusal of a request without a key, or with a wrong one, which is shown as Stripe does."""
    if not key:
        return ApiError(
            401,
            "invalid_request_error",
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    shown = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * len(key)
    return ApiError(401, "invalid_request_error", f"Invalid API Key provided: {shown}")


def needs_action(code: str) -> ApiError:
    """Return the refusal of a payment that the card's holder has to confirm; what it left behind stays."""
    about = "Payment for this subscription requires additional user action before it can be completed successfully."
    return ApiError(402, "card_error", about, is_kept=True, code=code)


def declined(code: str, decline_code: str, message: str, **more: Any) -> ApiError:
    """Return the refusal of a card; what it left behind stays."""
    return ApiError(402, "card_error", message, is_kept=True, code=code, decline_code=decline_code, **more)
