"""Delete what people have left behind, by hand; the schedule does the same every day."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from accounts import tidying


class Command(BaseCommand):
    """`tidy_accounts` prints how many rows of what were deleted."""

    help = "Delete sessions that are over, and accounts whose address was not confirmed within a week."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it now."""
        for what, count in tidying.tidy().items():
            self.stdout.write(f"{what.replace('_', ' ')}: {count}")
