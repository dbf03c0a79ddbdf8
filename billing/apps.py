"""Plans for money."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Stripe behind one gateway."""

    name = "billing"

    def ready(self) -> None:
        """Import the checks, which register themselves."""
        from billing import checks  # noqa: F401, PLC0415 - Django's way to register checks
