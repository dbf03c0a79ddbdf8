"""The only importer of stripe."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    import stripe


def is_configured() -> bool:
    """Return whether this installation can take money."""
    return bool(settings.STRIPE_SECRET_KEY)


@cache
def client() -> stripe.StripeClient:
    """Return the client of this process; the SDK is loaded on first use since it costs 40 MB."""
    import stripe  # noqa: PLC0415 - a heavy optional dependency

    return stripe.StripeClient(settings.STRIPE_SECRET_KEY, max_network_retries=2)
