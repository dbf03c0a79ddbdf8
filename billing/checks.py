"""System checks of the billing settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def stripe_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A key without a webhook secret would take money and never hear of it; a test key has no place in production."""
    found: list[CheckMessage] = []
    if bool(settings.STRIPE_SECRET_KEY) != bool(settings.STRIPE_WEBHOOK_SECRET):
        found.append(Error("Set both STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, or neither.", id="billing.E001"))
    if settings.IS_PRODUCTION and settings.STRIPE_SECRET_KEY.startswith(("sk_test_", "rk_test_")):
        found.append(Error("STRIPE_SECRET_KEY is a test key.", id="billing.E002"))
    if settings.IS_PRODUCTION and settings.STRIPE_API_URL:
        found.append(Error("STRIPE_API_URL is for tests: money is Stripe's alone.", id="billing.E003"))
    return found
