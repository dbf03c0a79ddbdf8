"""What an instance was shown, as arithmetic on a Place: no database here (semantics: "Reading").

`shown_to` and `read_to` move only when something says that an answer arrived; until then the answer is pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.hot import Place
from bus.models import Cursor

type Ranges = Sequence[tuple[int, int]]
"""First and last number of answers that were handed out."""

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
        return moved._replace(pending_from=max(place.pending_from or 0, up_to + 1))
    return moved._replace(
        pending_from=None, pending_shown=None, pending_read=None, pending_again=None, pending_how="", pending_at=None
    )


def is_again(place: Place, number: int) -> bool:
    """Return whether a number lies in the pending answer."""
    if place.pending_from is None or place.pending_shown is None:
        return False
    return place.pending_from <= number <= place.pending_shown


def may_be_earlier(place: Place, number: int) -> bool:
    """Return whether a number may have been in an answer before the pending one that nobody confirmed either."""
    return (place.shown_to or 0) < number <= place.handed_to and not is_again(place, number)


def is_within(handed: Ranges, number: int) -> bool:
    """Return whether one of these answers held a number."""
    return any(first <= number <= last for first, last in handed)


def needs_proof(place: Place) -> bool:
    """Return whether the pending answer's stream broke and it would move `read_to`: an id of it says nothing then if
    it was in an answer that began further on as well."""
    return place.pending_how == STRICT and place.pending_read is not None


def settle(place: Place, after_id: int | None, handed: Ranges = ()) -> Place:
    """Return the place after what a read says of the answers before it.

    `after_id`: an id of the pending answer, or of one before it that nobody confirmed; None when nothing of the kind
    is named. `handed`: the answers that held it, where that matters. A task's answer is confirmed by any call, a
    repeat by the next silent one.
    """
    if after_id is not None and is_again(place, after_id):
        if not (needs_proof(place) and any(first > (place.pending_from or 0) for first, _ in handed)):
            return confirm(place, after_id)
    elif after_id is not None and is_within(handed, after_id):
        return place._replace(shown_to=max(place.shown_to or 0, after_id))
    if place.pending_how == TASK:
        return confirm(place, place.pending_shown or 0)
    if place.pending_again is not None and place.pending_how == OPEN:
        return confirm(place, place.pending_again)._replace(pending_again=None)
    return place


def confirm_by_send(place: Place, begun_at: datetime | None, *, answers: int | None, is_alone: bool) -> Place:
    """Return the place after its instance sent to the channel: a send begun after the answer was complete, or a
    reply to one of its messages, says that it arrived; after a broken stream or beside another call neither does.

    A claim says it like a reply, and has no `begun_at`: whoever claims may have heard of the message elsewhere."""
    if place.pending_shown is None or place.pending_how == STRICT or not is_alone:
        return place
    was_seen = answers is not None and is_again(place, answers)
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


def hold(place: Place, start: int, numbers: Sequence[int], now: datetime, *, how: str = OPEN) -> Place:
    """Return the place after an answer with these numbers, everything of others above `start` up to the last one.

    `how`: what can confirm it. The numbers become pending. An answer before it stays pending with it if the two meet,
    would move the same numbers, and its stream did not break; otherwise only `handed_to` tells that there was one.
    """
    first, last = min(numbers), max(numbers)
    moves_read = start <= place.read_to
    again = _repeated(place, first, last, moves_read=moves_read)
    if again is not None and place.pending_how == OPEN and moves_read == _moves_read(place):
        first, last = min(first, place.pending_from or 0), max(last, place.pending_shown or 0)
    return place._replace(
        shown_to=start if place.shown_to is None else place.shown_to,
        handed_to=max(place.handed_to, last),
        pending_from=first,
        pending_shown=last,
        pending_read=last if moves_read and last > place.read_to else None,
        pending_again=again,
        pending_how=how,
        pending_at=now,
    )


def _repeated(place: Place, first: int, last: int, *, moves_read: bool) -> int | None:
    """Return up to where an answer from `first` to `last` repeats the pending one, None when it does not.

    Where it will move `read_to` it repeats only what would have moved it before: the rest is handed out just once.
    """
    if place.pending_from is None or place.pending_shown is None or first > place.pending_shown:
        return None
    again = min(place.pending_shown, last)
    if moves_read and not _moves_read(place):
        again = min(again, place.read_to)
    return again if again >= max(first, place.pending_from) else None


def _moves_read(place: Place) -> bool:
    """Return whether the pending answer began at or below `read_to`."""
    return place.pending_read is not None or (place.pending_shown or 0) <= place.read_to
