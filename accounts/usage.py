"""What a workspace has sent, by day and by instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Sum

from accounts.models import UsageDay
from crosswire.lib import clock


@dataclass(frozen=True)
class Activity:
    """Messages of the last days: `days`, oldest first, silent ones too; `senders`, those with most first.

    `others` is what senders beyond those listed sent.
    """

    days: list[tuple[date, int]]
    senders: list[tuple[str, int]]

    @property
    def total(self) -> int:
        """All messages of these days."""
        return sum(messages for _, messages in self.days)

    @property
    def others(self) -> int:
        """The messages of those who are not among the senders listed."""
        return self.total - sum(messages for _, messages in self.senders)


def activity(workspace_id: int, days: int = 30, senders: int = 8) -> Activity:
    """Return how many messages a workspace sent on each of the last days (UTC), and who sent most of them."""
    today = clock.now().date()
    first = today - timedelta(days=days - 1)
    rows = UsageDay.objects.filter(workspace=workspace_id, day__gte=first, day__lte=today)
    by_day = dict(rows.values_list("day").annotate(total=Sum("messages")))
    by_sender = rows.values_list("instance").annotate(total=Sum("messages")).order_by("-total", "instance")
    counted = [(first + timedelta(days=each), by_day.get(first + timedelta(days=each), 0)) for each in range(days)]
    return Activity(counted, list(by_sender[:senders]))
