"""Tell who runs a workspace of quotas that are nearly used, by hand; the schedule does the same every hour."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from bus import quotas


class Command(BaseCommand):
    """`look_at_quotas` prints how many lines people were told of."""

    help = "Mail owners and admins whose workspace has reached 80 % or 100 % of a quota, if nobody has told them yet."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it now."""
        for what, count in quotas.look().items():
            self.stdout.write(f"{what.replace('_', ' ')}: {count}")
