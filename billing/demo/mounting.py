"""Where `make run` serves the demo, and how the product reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from billing.demo.server import Server, application
from billing.demo.world import secrets_in

PATH = "/demo/stripe"
WEBHOOK_PATH = "/billing/stripe/webhook"

_mounted: Server | None = None


@dataclass(frozen=True)
class Connection:
    """How to reach the demo: its secret key, the secret its webhooks are signed with, and where its API is."""

    key: str
    webhook_secret: str
    api_url: str


def is_allowed() -> bool:
    """Return whether this installation may play demo payments: on this machine alone, without Stripe."""
    return bool(settings.DEMO_PAYMENTS and not settings.IS_PRODUCTION and not settings.STRIPE_SECRET_KEY)


def state_file() -> Path:
    """Return the file that remembers everything, the secrets included."""
    return Path(settings.VAR_DIR) / "demo_payments.json"


def connection() -> Connection:
    """Return how to reach the demo, in this process or from another one; made up on first use.

    Raises: ImproperlyConfigured where demo payments are not allowed.
    """
    _require_allowed()
    key, secret = secrets_in(state_file())
    return Connection(key, secret, f"http://127.0.0.1:{settings.PORT}{PATH}")


def mount() -> Server:
    """Serve the demo in this process from now on. Raises: ImproperlyConfigured where that is not allowed."""
    global _mounted  # noqa: PLW0603 - once a process
    _require_allowed()
    if _mounted is None:
        webhook = f"http://127.0.0.1:{settings.PORT}{WEBHOOK_PATH}"
        _mounted = application(state_file(), f"{settings.PUBLIC_URL}{PATH}", webhook)
    return _mounted


def mounted(path: str) -> Server | None:
    """Return who answers a path of the demo, None for other paths and where no demo is served."""
    return _mounted if path.startswith(f"{PATH}/") else None


def _require_allowed() -> None:
    if not is_allowed():
        raise ImproperlyConfigured(
            "Demo payments are for this machine alone: DEMO_PAYMENTS on, PUBLIC_URL loopback and no STRIPE_SECRET_KEY."
        )
