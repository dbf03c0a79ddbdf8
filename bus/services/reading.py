"""Reading: a channel, a message's replies, the inbox. What an answer held becomes pending in the reader's cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from accounts.principals import Principal
from bus import access, beats, calls, cursors, hot, retention
from bus.models import Channel, Message
from bus.results import Inbox, MessageItem, Messages, Ok, Replies, ToInstance
from bus.services import instances
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import not_found

ANSWER_BYTES = 60_000
AROUND_BYTES = 1_000
"""What an answer says beside its messages: last id, unread in five channels, the call that fetches older ones."""
INBOX_CHANNELS = 200
REPLIES_MOST = 200


@dataclass(frozen=True, slots=True)
class Ahead:
    """All messages of a channel above a number, oldest first, read once for several readers."""

    rows: list[hot.Row]
    number: int

    def after(self, floor: int, reader: str, limit: int) -> list[hot.Row] | None:
        """Return the oldest above a floor that are not the reader's own, None where the floor is too low to know."""
        if floor < self.number:
            return None
        return [row for row in self.rows if row.number > floor and row.sender != reader][:limit]


@dataclass(frozen=True, slots=True)
class Answer:
    """Messages of one channel that go out together: all of others above `start` up to the last one."""

    messages: list[MessageItem]
    start: int
    has_more: bool
    older: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """An answer to an instance, and what is to be stored of it: where it stands then, and what it is handed.

    `ends`: the token of the wait that is over with it. `call`: whose answer it is.
    """

    found: hot.Standing
    answer: Answer
    place: hot.Place
    handed: hot.Handed | None
    ends: str
    call: calls.Call | None

    def result(self) -> Messages:
        """Return the answer as clients see it."""
        return result(self.answer, self.found, self.place)


def check(
    principal: Principal,
    *,
    channel: str,
    after_id: int | None = None,
    limit: int = 20,
    instance_id: str | None = None,
) -> Messages:
    """Return the newest messages of a channel, or with `after_id` the oldest after it.

    With an instance its own are left out, and what it is shown is remembered as pending. A channel that is not there
    reads as empty.
    """
    name = principal.speaks_for("instance_id", instance_id)
    if name is None or principal.is_read_only:
        return check_as_onlooker(principal, channel, after_id, limit, name)
    found = instances.arrive(principal, name, channel)
    if found.place is None:
        return result(Answer([], 0, has_more=False, older=False), found)
    place = settled(principal, name, found.place, after_id)
    floor = None if after_id is None else cursors.floor_of(place, after_id)
    answer = read(principal, place, name, floor, limit)
    place_after = remember(principal, found, place, answer)
    return result(answer, found, place_after)


def check_as_onlooker(
    principal: Principal, channel: str, after_id: int | None, limit: int, reader: str | None
) -> Messages:
    """Read without being anybody, or with a read-only key: nothing is remembered."""
    channel_id = hot.channel_id(principal.workspace_id, channel)
    if channel_id is None:
        return {"messages": [], "last_id": None, "has_more": False}
    answer = _fetch(principal, channel_id, channel, floor=after_id, reader=reader, limit=limit)
    return result(answer)


def settled(principal: Principal, name: str, place: hot.Place, after_id: int | None) -> hot.Place:
    """Return the place after what this call says of the answer before it."""
    if after_id is None:
        return cursors.settle(place, None)
    is_pending, is_earlier = cursors.is_again(place, after_id), cursors.may_be_earlier(place, after_id)
    if not (is_pending or is_earlier) or not _is_by_another(principal, name, place, after_id):
        return cursors.settle(place, None)
    needs_look = is_earlier or cursors.needs_proof(place)
    known = hot.handed(principal.workspace_id, place.channel_id, name, after_id, after_id) if needs_look else []
    return cursors.settle(place, after_id, known)


def _is_by_another(principal: Principal, name: str, place: hot.Place, number: int) -> bool:
    is_end = number == place.pending_shown  # an answer ends with a message of somebody else
    return is_end or hot.is_by_another(principal.workspace_id, place.channel_id, number, name)


def read(
    principal: Principal, place: hot.Place, name: str, floor: int | None, limit: int, *, ahead: Ahead | None = None
) -> Answer:
    """Return what lies above the floor, or without one the newest, marking what was pending as again.

    `ahead`: what was read of it for several.
    """
    answer = _fetch(
        principal,
        place.channel_id,
        place.channel,
        floor=floor,
        reader=name,
        limit=limit,
        newest=place.newest,
        ahead=ahead,
    )
    _mark_again(principal, name, place, answer.messages)
    return answer


def _mark_again(principal: Principal, name: str, place: hot.Place, messages: Sequence[MessageItem]) -> None:
    """Mark what an answer held that nobody confirmed."""
    numbers = [message["id"] for message in messages]
    earlier = [number for number in numbers if cursors.may_be_earlier(place, number)]
    known = hot.handed(principal.workspace_id, place.channel_id, name, earlier[0], earlier[-1]) if earlier else []
    for message, number in zip(messages, numbers, strict=True):
        if cursors.is_again(place, number) or (number in earlier and cursors.is_within(known, number)):
            message["again"] = True


def _fetch(
    principal: Principal,
    channel_id: int,
    channel: str,
    *,
    floor: int | None,
    reader: str | None,
    limit: int,
    newest: int | None = None,
    ahead: Ahead | None = None,
) -> Answer:
    first_live = retention.first_live(principal)
    workspace = principal.workspace_id
    if floor is not None:
        start = max(floor, first_live - 1)
        rows: list[hot.Row] | None = None
        if newest is not None and newest <= start:  # known from the channel's row: an idle poll reads no messages
            rows = []
        elif ahead is not None and reader is not None:
            rows = ahead.after(start, reader, limit + 1)
        if rows is None:
            rows = hot.after(workspace, channel_id, start, reader, limit + 1)
        kept = fitting([item(row, channel) for row in rows[:limit]])
        return Answer(kept, floor, has_more=len(kept) < len(rows), older=False)
    rows = hot.newest(workspace, channel_id, first_live, reader, limit + 1)
    kept = fitting([item(row, channel) for row in rows[:limit]])
    older = len(kept) < len(rows)
    start = rows[len(kept)].number if older else 0
    return Answer(kept[::-1], start, has_more=False, older=older)


def fitting(messages: list[MessageItem], around: int = AROUND_BYTES) -> list[MessageItem]:
    """Return as many messages from the front as one answer can hold beside what is around them, at least one."""
    room = ANSWER_BYTES - around
    for index, message in enumerate(messages):
        room -= len(orjson.dumps(message)) + len(',"again":true')
        if room < 0 and index:
            return messages[:index]
    return messages


def item(row: hot.Row, channel: str) -> MessageItem:
    """Return a message as clients see it."""
    return {
        "id": row.number,
        "channel": channel,
        "sender": row.sender,
        "content": row.content,
        "message_type": row.message_type,
        "in_reply_to": row.in_reply_to,
        "created_at": clock.iso(row.created_at),
        "reply_count": row.reply_count,
        "verified": row.verified,
        "sender_kind": row.sender_kind,
    }


def remember(
    principal: Principal,
    found: hot.Standing,
    place: hot.Place,
    answer: Answer,
    *,
    is_task: bool = False,
) -> hot.Place:
    """Store what the call confirmed and what its answer holds; return the place after it.

    `is_task`: the answer can be fetched again.
    """
    held = holding(found, place, answer, is_task=is_task)
    if held.place != found.place:
        store(principal.workspace_id, held)
    return held.place


def holding(found: hot.Standing, place: hot.Place, answer: Answer, *, is_task: bool = False, ends: str = "") -> Holding:
    """Return what is to be stored of an answer by the call under way; arguments as of `remember` and `Holding`."""
    now = clock.now()
    numbers = [message["id"] for message in answer.messages]
    after = cursors.hold(place, answer.start, numbers, now, how=_how(is_task=is_task)) if numbers else place
    handed = hot.Handed(found.instance_id, place, numbers, now) if numbers else None
    return Holding(found, answer, after, handed, ends, calls.current())


def store(workspace_id: int, *holdings: Holding) -> None:
    """Store what the answers of different instances hold, as one transaction."""
    ended = [held.ends for held in holdings if held.ends]
    handed = [(held.call, held.handed) for held in holdings if held.handed]
    try:
        # The waits before the cursors, as a release of a mutual wait and a task's end lock them.
        hot.together(
            *([beats.forgotten(workspace_id, ended)] if ended else []),
            hot.cursors_moved(workspace_id, {held.found.instance_id: held.place for held in holdings}),
            *hot.handed_out(workspace_id, [each for _, each in handed]),
        )
    finally:  # also when the connection is lost: what was committed then does not arrive
        for call, each in handed:
            calls.handed(call, workspace_id, each.place.channel_id, each.instance_id, each.at)


def result(answer: Answer, found: hot.Standing | None = None, place: hot.Place | None = None) -> Messages:
    """Return an answer as clients see it, with what is unread elsewhere."""
    messages = answer.messages
    shown: Messages = {
        "messages": messages,
        "last_id": messages[-1]["id"] if messages else None,
        "has_more": answer.has_more,
    }
    if answer.older:
        shown["older"] = True
    if found:
        shown.update(beside(found, place, answer.start, len(messages)))  # type: ignore[typeddict-item] # its own keys
    if found and place and skipped(place, answer.start, len(messages)):
        named = f'channel="{place.channel}", instance_id="{found.name}"'
        shown["fetch"] = f"check_messages({named}, after_id={place.read_to})"
    return shown


def beside(found: hot.Standing, place: hot.Place | None, start: int, held: int = 0) -> ToInstance:
    """Return what an answer tells of what it leaves unread: in other channels, and what it skipped in its own."""
    left = skipped(place, start, held) if place else 0
    own = [place._replace(unread=left)] if place and left else []
    return instances.tell(found, [*own, *found.elsewhere])


def skipped(place: hot.Place, start: int, held: int) -> int:
    """Return how many unread messages an answer of so many, which began above what is read, does not hold."""
    if start <= place.read_to:
        return 0  # what it does not hold comes after it
    return place.unread if place.unread > 99 else max(0, place.unread - held)  # more than 99 may be any number


def get_replies(principal: Principal, *, message_id: int, channel: str | None = None) -> Replies:
    """Return a message and what answers it, oldest first. A parent past the retention reads as null.

    Raises: CrossWireError `not_found` when there is neither the message nor a reply to it (in that channel).
    """
    live = access.messages(principal)
    if channel is not None:
        live = live.filter(channel__name=channel)
    parent = live.filter(number=message_id).first()
    replies = list(live.filter(in_reply_to=message_id).order_by("number")[: REPLIES_MOST + 1])
    if parent is None and not replies:
        where = f" in #{channel}" if channel else ""
        raise not_found(f"There is no message #{message_id}{where} here.")
    room = [*([parent] if parent else []), *replies[:REPLIES_MOST]]
    kept = fitting([stored_item(row) for row in room])
    shown = kept[1:] if parent else kept
    return {
        "parent": kept[0] if parent else None,
        "replies": shown,
        "has_more": len(shown) < len(replies),
    }


def stored_item(row: Message) -> MessageItem:
    """Return a message row as clients see it."""
    return item(
        hot.Row(
            row.number,
            row.sender,
            row.content,
            row.message_type,
            row.in_reply_to,
            row.created_at,
            row.reply_count,
            row.verified,
            row.sender_kind,
        ),
        row.channel.name,
    )


def inbox(principal: Principal, *, instance_id: str, limit: int = 20, ack: dict[str, int] | None = None) -> Inbox:
    """Return the unread messages of all channels, oldest first, after taking note of `ack`.

    Raises: CrossWireError `read_only_key`: an inbox moves cursors.
    """
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    assert name is not None
    for channel, up_to in (ack or {}).items():
        ack_inbox(principal, instance_id=name, channel=channel, up_to=up_to)
    found = instances.arrive(principal, name, None, INBOX_CHANNELS)
    places = {place.channel: settled(principal, name, place, None) for place in found.elsewhere}
    return hand_out_unread(principal, name, found, places, limit)


def hand_out_unread(
    principal: Principal,
    name: str,
    found: hot.Standing,
    places: dict[str, hot.Place],
    limit: int,
    *,
    is_task: bool = False,
) -> Inbox:
    """Return the oldest unread messages of these channels and remember them as handed out."""
    around = AROUND_BYTES + sum(len(f'"{place.channel}":100,') for place in found.elsewhere)
    kept = fitting(_oldest_unread(principal, name, places, limit), around)
    left: dict[str, int] = {}
    if found.elsewhere:
        gone = retention.first_live(principal) - 1
        with writing():
            for place in sorted(found.elsewhere):  # by channel: two calls lock in one order
                numbers = [message["id"] for message in kept if message["channel"] == place.channel]
                after = places[place.channel]
                if numbers:
                    after = cursors.hold(after, after.read_to, numbers, clock.now(), how=_how(is_task=is_task))
                _remember_in_inbox(principal, found, place, after, numbers)
                floor = max(numbers, default=max(places[place.channel].read_to, gone))
                if rest := hot.unread(principal.workspace_id, place.channel_id, floor, name):
                    left[place.channel] = rest
    answer: Inbox = {"messages": kept, "unread": left, "has_more": bool(left)}
    if not is_task:
        answer.update(instances.tell(found, []))  # type: ignore[typeddict-item] # its own keys
    return answer


def _oldest_unread(principal: Principal, name: str, places: dict[str, hot.Place], limit: int) -> list[MessageItem]:
    """Return the oldest unread messages of all these channels: their numbers first, then the content of those."""
    gone = retention.first_live(principal) - 1
    workspace = principal.workspace_id
    numbered = sorted(
        (number, place)
        for place in places.values()
        for number in hot.numbers_after(workspace, place.channel_id, max(place.read_to, gone), name, limit)
    )[:limit]
    rows = hot.by_number(workspace, [number for number, _ in numbered])
    found: list[MessageItem] = []
    for place in places.values():
        unread = [item(rows[number], place.channel) for number, at in numbered if at is place and number in rows]
        _mark_again(principal, name, place, unread)
        found += unread
    return sorted(found, key=lambda message: message["id"])


def _remember_in_inbox(
    principal: Principal, found: hot.Standing, before: hot.Place, after: hot.Place, numbers: Sequence[int]
) -> None:
    if after != before:
        hot.move_cursor(principal.workspace_id, found.instance_id, after)
    if numbers:
        now = after.pending_at or clock.now()
        hot.hand_out(principal.workspace_id, hot.Handed(found.instance_id, before, numbers, now))
        calls.handed(calls.current(), principal.workspace_id, before.channel_id, found.instance_id, now)


def _how(*, is_task: bool) -> str:
    """Return what can confirm the answer of the call under way."""
    if is_task:
        return cursors.TASK
    return cursors.OPEN if calls.is_alone() else cursors.STRICT


def ack_inbox(principal: Principal, *, instance_id: str, channel: str, up_to: int) -> Ok:
    """Note that an instance wants nothing of a channel up to a number again.

    Raises: CrossWireError `not_found` for an unknown channel, `read_only_key`.
    """
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    assert name is not None
    known = access.find_channel(principal, channel)
    if known is None:
        raise not_found(f"There is no channel #{channel} here.")
    found = instances.arrive(principal, name, channel)
    place = found.place or _fresh_place(known, found)
    after = cursors.acknowledge(place, min(up_to, known.last_number))
    with writing():
        hot.move_cursor(principal.workspace_id, found.instance_id, after)
    return {"ok": True, **instances.news(principal, name)}


def _fresh_place(channel: Channel, found: hot.Standing) -> hot.Place:
    return hot.Place(channel.pk, channel.name, 0, None, found.joined_number, 0, None, None, None, None, "", None, 0)


def empty() -> Messages:
    """Return an answer without messages."""
    return {"messages": [], "last_id": None, "has_more": False}
