"""A channel as people look at it: a stretch of its messages, what they answer, who has claimed what, who waits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.principals import Principal
from bus import access, beats, fates
from bus.models import Channel, Message
from bus.results import Receipts
from bus.services import receipts
from crosswire.lib import clock

SHOWN = 50
"""Messages on a page, and in one look of an open one."""
REPLIES_SHOWN = 100

type Held = dict[int, tuple[str, datetime]]
"""Number of a message → who has claimed it, and until when."""


@dataclass(frozen=True)
class State:
    """What stands around a channel's messages."""

    channel: Channel
    waiting: list[str]
    claims: Held


@dataclass(frozen=True)
class Stretch:
    """Messages of a channel, oldest first, and those of their parents that are not expired, by number."""

    messages: list[Message]
    parents: dict[int, Message]
    has_older: bool = False
    has_newer: bool = False


@dataclass(frozen=True)
class Look:
    """What an open page has to be told: what came after its last message, and how the room stands."""

    state: State
    stretch: Stretch


@dataclass(frozen=True)
class Thread:
    """A message with what it answers, its replies and what is known of its way. `message` is None once it expired."""

    state: State
    message: Message | None
    stretch: Stretch
    receipts: Receipts | None
    has_more: bool = False


def state(principal: Principal, channel: Channel) -> State:
    """Return what stands around a channel's messages now."""
    now = clock.now()
    waiting = beats.waiting(principal.workspace_id, [channel.name], now)[channel.name]
    return State(channel, sorted(waiting), fates.held(principal.workspace_id, channel.pk, now))


def newest(principal: Principal, channel: Channel) -> Stretch:
    """Return the newest messages."""
    return before(principal, channel, None)


def before(principal: Principal, channel: Channel, number: int | None) -> Stretch:
    """Return the messages before a number; without one the newest."""
    found = access.messages(principal).filter(channel=channel)
    older = found if number is None else found.filter(number__lt=number)
    rows = list(older.order_by("-number")[: SHOWN + 1])
    has_newer = number is not None and bool(rows) and rows[0].number < channel.last_number
    return _stretch(principal, rows[:SHOWN][::-1], has_older=len(rows) > SHOWN, has_newer=has_newer)


def after(principal: Principal, channel: Channel, number: int) -> Stretch:
    """Return the messages after a number."""
    rows = list(access.messages(principal).filter(channel=channel, number__gt=number).order_by("number")[: SHOWN + 1])
    shown = rows[:SHOWN]
    return _stretch(principal, shown, has_older=bool(shown), has_newer=len(rows) > SHOWN)


def around(principal: Principal, channel: Channel, number: int) -> Stretch:
    """Return the messages on both sides of a number, its own message among them."""
    half = SHOWN // 2
    found = access.messages(principal).filter(channel=channel)
    older = list(found.filter(number__lt=number).order_by("-number")[: half + 1])
    newer = list(found.filter(number__gte=number).order_by("number")[: half + 1])
    rows = [*older[:half][::-1], *newer[:half]]
    return _stretch(principal, rows, has_older=len(older) > half, has_newer=len(newer) > half)


def look(principal: Principal, *, channel: str, number: int) -> Look:
    """Return what an open page has to be told that holds everything up to a number. Raises: `not_found`."""
    found = access.get_channel(principal, channel)
    is_news = found.last_number > number
    stretch = after(principal, found, number) if is_news else Stretch([], {})
    return Look(state(principal, found), stretch)


def thread(principal: Principal, here: Channel, number: int) -> Thread:
    """Return a message and its replies. A message past the retention reads as None while replies to it are there.

    Raises: CrossWireError `not_found`.
    """
    live = access.messages(principal)
    message = live.filter(channel=here, number=number).first()
    # Replies are in their parent's channel: not asked for, or SQLite would walk through all of it.
    found = live.filter(in_reply_to=number).order_by("number")[: REPLIES_SHOWN + 1]
    replies = [reply for reply in found if reply.channel_id == here.pk]
    if message is None and not replies:
        access.get_message(principal, number, here.name)  # raises
    rows = [*([message] if message else []), *replies[:REPLIES_SHOWN]]
    known = receipts.status(principal, message_id=number, channel=here.name) if message else None
    parents = _parents(principal, {message.in_reply_to} if message and message.in_reply_to else ())
    return Thread(state(principal, here), message, Stretch(rows, parents), known, has_more=len(replies) > REPLIES_SHOWN)


def _stretch(principal: Principal, rows: Sequence[Message], *, has_older: bool, has_newer: bool) -> Stretch:
    wanted = {row.in_reply_to for row in rows if row.in_reply_to}
    here = {row.number: row for row in rows if row.number in wanted}
    there = _parents(principal, wanted - here.keys())
    return Stretch(list(rows), here | there, has_older=has_older, has_newer=has_newer)


def _parents(principal: Principal, numbers: Collection[int]) -> dict[int, Message]:
    if not numbers:
        return {}
    return {row.number: row for row in access.messages(principal).filter(number__in=numbers)}
