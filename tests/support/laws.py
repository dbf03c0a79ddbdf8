"""What holds for a workspace's rows after any calls whatever, as long as nothing has expired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from accounts.models import UsageDay
from bus.models import (
    Channel,
    ChannelSender,
    Counters,
    Cursor,
    HandOut,
    IdempotencyKey,
    Instance,
    Message,
    SharedItem,
    Wait,
)
from crosswire.lib import clock
from crosswire.lib.text import channel_name
from tests.support.cast import Caller


def broken(caller: Caller) -> list[str]:
    """Return what is wrong in a workspace, in words; nothing is if all is well."""
    counters = Counters.objects.get(workspace=caller.workspace)
    messages = list(Message.objects.filter(workspace=caller.workspace).order_by("number"))
    return [
        *_numbers(counters, messages),
        *_channels(caller, messages),
        *_use(caller, counters, messages),
        *_readers(caller, counters.last_number),
        *_waits(caller),
    ]


def _numbers(counters: Counters, messages: list[Message]) -> Iterator[str]:
    numbers = [message.number for message in messages]
    if numbers != list(range(1, counters.last_number + 1)):
        yield f"messages are numbered {numbers} and the last number is {counters.last_number}"
    if any(before.created_at > after.created_at for before, after in pairwise(messages)):
        yield "a message is older than the one before it"
    replies = Counter((message.channel_id, message.in_reply_to) for message in messages if message.in_reply_to)
    for message in messages:
        if message.reply_count != (found := replies.pop((message.channel_id, message.number), 0)):
            yield f"#{message.number} counts {message.reply_count} replies and has {found}"
    if replies:
        yield f"replies to nothing: {replies}"


def _channels(caller: Caller, messages: list[Message]) -> Iterator[str]:
    stored: dict[int, list[Message]] = {}
    for message in messages:
        stored.setdefault(message.channel_id, []).append(message)
    senders: dict[tuple[int, str], Message] = {(each.channel_id, each.sender): each for each in messages}
    channels = list(Channel.objects.filter(workspace=caller.workspace))
    if unknown := set(stored) - {channel.pk for channel in channels}:
        yield f"messages in channels of nobody: {unknown}"
    for channel in channels:
        here = stored.get(channel.pk, [])
        if channel.name != channel_name(channel.name):
            yield f"#{channel.name} is not in its normal form"
        if [message.channel_seq for message in here] != list(range(1, channel.last_seq + 1)):
            yield f"#{channel.name} is not numbered 1 to {channel.last_seq}"
        last = here[-1] if here else None
        told = (channel.last_number, channel.last_sender, channel.last_message_at)
        if told != ((last.number, last.sender, last.created_at) if last else (0, "", None)):
            yield f"#{channel.name} says {told} of its last message"
        if channel.last_other != max((each.number for each in here if last and each.sender != last.sender), default=0):
            yield f"#{channel.name} says that {channel.last_other} is the newest by another than its last sender"
    rows = ChannelSender.objects.filter(workspace=caller.workspace)
    known = {(row.channel_id, row.sender): (row.last_number, row.last_at) for row in rows}
    if known != {key: (last.number, last.created_at) for key, last in senders.items()}:
        yield f"senders by channel are {known}"


def _use(caller: Caller, counters: Counters, messages: list[Message]) -> Iterator[str]:
    month = Counter(clock.month_of(message.created_at) for message in messages)
    if messages and counters.month_messages != month[counters.month]:
        yield f"{counters.month_messages} messages are counted in {counters.month}, {dict(month)} are stored"
    days = Counter((message.created_at.date(), message.sender) for message in messages)
    usage = {(row.day, row.instance): row.messages for row in UsageDay.objects.filter(workspace=caller.workspace)}
    if usage != days:
        yield f"usage by day is {usage}, stored are {days}"
    items = list(SharedItem.objects.filter(workspace=caller.workspace))
    if any(item.size_bytes != len(item.content.encode()) for item in items):
        yield "an item has another size than it says"
    if counters.data_bytes != sum(item.size_bytes for item in items):
        yield f"{counters.data_bytes} bytes of shared data are counted, {sum(item.size_bytes for item in items)} stored"
    for key in IdempotencyKey.objects.filter(workspace=caller.workspace):
        if not 1 <= key.number <= counters.last_number or messages[key.number - 1].sender != key.sender:
            yield f"the key {key.key!r} of {key.sender!r} remembers #{key.number}"


def _readers(caller: Caller, newest: int) -> Iterator[str]:
    instances = list(Instance.objects.filter(workspace=caller.workspace))
    if any(not 0 <= instance.joined_number <= newest for instance in instances):
        yield "an instance joined after the last message"
    if len({instance.name for instance in instances}) != len(instances):
        yield "a name is taken twice"
    for cursor in Cursor.objects.filter(workspace=caller.workspace):
        stands = (cursor.shown_to, cursor.read_to, cursor.handed_to, cursor.pending_from, cursor.pending_shown)
        numbers = [number for number in (*stands, cursor.pending_read, cursor.pending_again) if number is not None]
        if any(not 0 <= number <= newest for number in numbers):
            yield f"a cursor stands at {numbers} of {newest}"
        is_pending = cursor.pending_shown is not None
        if is_pending != (cursor.pending_from is not None) or is_pending != bool(cursor.pending_how):
            yield f"an answer is half pending: {stands}"
        if (cursor.pending_from or 0) > (cursor.pending_shown or 0):
            yield f"what is pending ends before it begins: {stands}"
    for answer in HandOut.objects.filter(workspace=caller.workspace):
        if not 1 <= answer.from_number <= answer.to_number <= newest:
            yield f"#{answer.from_number} to #{answer.to_number} were handed out"


def _waits(caller: Caller) -> Iterator[str]:
    calls = (Wait.Kind.BLOCKING, Wait.Kind.LISTENER)
    if left := list(Wait.objects.filter(workspace=caller.workspace, kind__in=calls)):
        yield f"waits are left behind: {left}"
