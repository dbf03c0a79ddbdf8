"""Compare everything with Stripe, by hand; the schedule does the same every day."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import gateway, reconciling


class Command(BaseCommand):
    """`reconcile_stripe [--dry-run]` prints what differed."""

    help = "Compare every customer and plan with Stripe, and repair what differs."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take `--dry-run`."""
        parser.add_argument("--dry-run", action="store_true", help="say what differs, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        if not gateway.is_configured():
            raise CommandError("This installation takes no payments: STRIPE_SECRET_KEY is not set.")
        if options["dry_run"]:
            for sentence in reconciling.differences() or ["Nothing differs."]:
                self.stdout.write(sentence)
            return
        run = reconciling.reconcile()
        if run is None:
            self.stdout.write("Nothing to do: there are no customers, or a comparison is under way.")
            return
        self.stdout.write(f"looked at: {run.looked_at}")
        self.stdout.write(f"repaired: {run.repaired}")
        for problem in run.problems:
            self.stdout.write(self.style.WARNING(problem))
