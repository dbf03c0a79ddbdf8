"""The console's first page: how the service is, and what goes on day by day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Sum
from django.db.models.functions import TruncDate

from accounts.models import UsageDay, User, Workspace
from bus.views.charts import Chart, by_day
from crosswire.console import lights, money
from crosswire.lib import clock

DAYS = 30
COUNTED_EVERY_SECONDS = 60
_COUNTED = "crosswire:console:counted"


@dataclass(frozen=True)
class Series:
    """One number a day; `total` of all days has no meaning where the same thing may count on several of them."""

    title: str
    days: list[tuple[date, int]]
    has_total: bool = True

    @property
    def chart(self) -> Chart:
        """The bars."""
        return by_day(self.days)

    @property
    def today(self) -> int:
        """The last day."""
        return self.days[-1][1]

    @property
    def total(self) -> int | None:
        """All days together."""
        return sum(count for _, count in self.days) if self.has_total else None


def shown() -> dict[str, Any]:
    """Return what the page shows."""
    at, series = counted()
    days = [day for day, _ in series[0].days]
    table = [(day, [(each.title, each.days[index][1]) for each in series]) for index, day in enumerate(days)]
    return {
        "lights": lights.all_of_them(),
        "paying": money.by_plan(),
        "counted_at": at,
        "series": series,
        "table": table[::-1],
        "days": DAYS,
    }


def counted() -> tuple[datetime, list[Series]]:
    """Return the numbers of the last days (UTC), counted at most every minute however many look."""
    found: tuple[datetime, list[Series]] | None = cache.get(_COUNTED)
    if found is None:
        found = clock.now(), _count()
        cache.set(_COUNTED, found, COUNTED_EVERY_SECONDS)
    return found


def forget() -> None:
    """Count anew the next time."""
    cache.delete(_COUNTED)


def _count() -> list[Series]:
    today = clock.now().date()
    first = today - timedelta(days=DAYS - 1)
    since = datetime.combine(first, datetime.min.time(), UTC)
    joined = User.objects.filter(date_joined__gte=since).annotate(day=TruncDate("date_joined", tzinfo=UTC))
    made = Workspace.objects.filter(created_at__gte=since).annotate(day=TruncDate("created_at", tzinfo=UTC))
    used = UsageDay.objects.filter(day__gte=first, day__lte=today).order_by().values("day")
    totals = list(used.annotate(sent=Sum("messages"), active=Count("workspace", distinct=True)))

    def spread(rows: Iterable[tuple[date, int]]) -> list[tuple[date, int]]:
        known = dict(rows)
        return [(day, known.get(day, 0)) for day in (first + timedelta(days=each) for each in range(DAYS))]

    return [
        Series("Messages", spread((each["day"], each["sent"]) for each in totals)),
        Series("Active workspaces", spread((each["day"], each["active"]) for each in totals), has_total=False),
        Series("Sign-ups", spread(joined.order_by().values_list("day").annotate(count=Count("pk")))),
        Series("New workspaces", spread(made.order_by().values_list("day").annotate(count=Count("pk")))),
    ]
