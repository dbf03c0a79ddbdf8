"""Long lists in pages, newest first: a page ends at a mark, the next one begins after it. No page counts rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

from django.db.models import Model, Q, QuerySet

_LONGEST = 400


class Mark(NamedTuple):
    """Where a page ended: the time of its last row, and the name that tells rows of one time apart."""

    at: datetime
    name: str

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the mark an address holds, None when it holds none that could be ours."""
        stamp, parted, name = text.partition("~")
        if not parted or len(text) > _LONGEST or "\0" in name:
            return None
        try:
            at = datetime.fromisoformat(stamp)
            return cls(at.astimezone(UTC), name) if at.tzinfo else None
        except (ValueError, OverflowError):
            return None

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}~{self.name}"


@dataclass(frozen=True)
class Part[Row: Model]:
    """One page. `end` is the mark that the next one begins after, None on the last page."""

    rows: list[Row]
    end: Mark | None


def part[Row: Model](query: QuerySet[Row], at: str, name: str, after: Mark | None, most: int) -> Part[Row]:
    """Return the rows after a mark, newest first; `at` and `name` are the fields that marks are made of."""
    if after is not None:
        later = Q(**{f"{at}__lt": after.at}) | Q(**{f"{name}__gt": after.name})
        query = query.filter(later, **{f"{at}__lte": after.at})  # the plain bound is what an index answers
    rows = list(query.order_by(f"-{at}", name)[: most + 1])
    last = rows[most - 1] if len(rows) > most else None
    return Part(rows[:most], Mark(getattr(last, at), getattr(last, name)) if last else None)
