"""What an instance was shown, as arithmetic on a Place: no database here (semantics: "Reading").

`shown_to` and `read_to` move only when something says that an answer arrived; until then the answer is pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.hot import Place
from bus.models import Cursor

OPEN, STRICT, TASK = Cursor.Pending.OPEN.value, Cursor.Pending.STRICT.value, Cursor.Pending.TASK.value


def is_pending(place: Place) -> bool:
    """Return whether an answer waits to be confirmed."""
    return place.pending_shown is not None


def confirm(place: Place, up_to: int) -> Place:
    """Return the place after the pending answer is known to have arrived, up to a number of it."""
    if place.pending_shown is None:
        return place
    arrived = min(up_to, place.pending_shown)
    moved = place._replace(shown_to=max(place.shown_to or 0, arrived))
    if place.pending_read is not None:
        moved = moved._replace(read_to=max(place.read_to, min(place.pending_read, arrived)))
    if up_to < place.pending_shown:
        return moved
    return moved._replace(pending_shown=None, pending_read=None, pending_again=None, pending_how="", pending_at=None)


def names_pending(place: Place, after_id: int | None) -> bool:
    """Return whether an `after_id` lies in the pending answer, and so may confirm it if it is one of its ids."""
    return (
        after_id is not None
        and place.pending_shown is not None
        and (place.shown_to or 0) < after_id <= place.pending_shown
    )


def settle(place: Place, after_id: int | None, *, is_held: bool) -> Place:
    """Return the place after what a read says of the pending answer.

    `is_held`: the `after_id` is an id of it. A task's answer is confirmed by any call; a repeat by the next silent one.
    """
    if not is_pending(place):
        return place
    if is_held and after_id is not None:
        return confirm(place, after_id)
    if place.pending_how == TASK:
        return confirm(place, place.pending_shown or 0)
    if place.pending_again is not None and place.pending_how == OPEN:
        return confirm(place, place.pending_again)._replace(pending_again=None)
    return place


def confirm_by_send(place: Place, begun_at: datetime | None, *, answers: int | None, is_alone: bool) -> Place:
    """Return the place after its instance sent to the channel: a send begun after the answer was complete, or a
    reply to one of its messages, says that it arrived; after a broken stream or beside another call neither does."""
    if place.pending_shown is None or place.pending_how == STRICT or not is_alone:
        return place
    was_seen = answers is not None and (place.shown_to or 0) < answers <= place.pending_shown
    began_later = begun_at is not None and place.pending_at is not None and begun_at >= place.pending_at
    return confirm(place, place.pending_shown) if was_seen or began_later or place.pending_how == TASK else place


def acknowledge(place: Place, up_to: int) -> Place:
    """Return the place after its instance said that it wants nothing up to a number again."""
    moved = confirm(place, up_to)
    return moved._replace(read_to=max(moved.read_to, up_to), shown_to=max(moved.shown_to or 0, up_to))


def floor_of(place: Place, after_id: int | None) -> int:
    """Return the number above which a read or wait starts."""
    if after_id is None:
        return place.read_to if place.shown_to is None else place.shown_to
    return after_id if place.shown_to is None else min(after_id, place.shown_to)


def hold(place: Place, start: int, numbers: Sequence[int], now: datetime, how: str = OPEN) -> Place:
    """Return the place after an answer with these numbers, everything of others above `start` up to the last one.

    The numbers become pending. What was pending before and is in the answer again counts as repeated.
    """
    last = max(numbers)
    before = place.pending_shown
    again = min(before, last) if before is not None and min(numbers) <= before else None
    shown = max(last, before) if again is not None and before is not None else last
    read = last if start <= place.read_to else place.pending_read if again is not None else None
    return place._replace(
        shown_to=start if place.shown_to is None else place.shown_to,
        pending_shown=shown,
        pending_read=read if read is not None and read > place.read_to else None,
        pending_again=again,
        pending_how=how,
        pending_at=now,
    )


def is_again(place: Place, number: int) -> bool:
    """Return whether a message was in an answer that nobody confirmed."""
    return place.pending_shown is not None and (place.shown_to or 0) < number <= place.pending_shown
