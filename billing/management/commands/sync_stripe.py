"""Make the plans known to Stripe."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import catalog, gateway
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`sync_stripe [--dry-run]` prints what was, or would be, changed, and what is wrong with the webhook."""

    help = "Make or update Stripe's products, prices and customer portal from the plans in the code."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take `--dry-run`."""
        parser.add_argument("--dry-run", action="store_true", help="say what would be changed, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        try:
            changes = catalog.sync(is_dry=options["dry_run"])
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        for change in changes or ["Stripe has everything as it should be."]:
            self.stdout.write(f"would be: {change}" if options["dry_run"] and changes else change)
        for problem in [] if gateway.is_demo() else _webhook_problems():
            self.stdout.write(self.style.WARNING(problem))


def _webhook_problems() -> list[str]:
    try:
        return catalog.webhook_problems()
    except CrossWireError:  # a restricted key need not have that right
        return ["The webhook endpoint could not be checked: the key may not read it."]
