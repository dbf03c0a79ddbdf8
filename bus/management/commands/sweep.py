"""Delete what nothing reads any more, by hand; the schedule does the same every hour."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from bus import retention


class Command(BaseCommand):
    """`sweep` prints how many rows of what were deleted."""

    help = "Delete remembered idempotency keys past their day, and waits whose process is gone."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it now."""
        for what, count in retention.sweep().items():
            self.stdout.write(f"{what.replace('_', ' ')}: {count}")
