"""What operations take. Unknown names are refused; numbers may come as JSON floats or, in a query string, as text."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from bus.told import CHANNEL_LIST, LINE_OR_NONE, LONG_CHANNEL, LONG_IN_LIST, ONE_LINE, STORABLE, Told, clamped
from crosswire.lib.errors import invalid
from crosswire.lib.text import channel_name, one_line, storable

BIGGEST_ID = 2**63 - 1
DATA_PART_BYTES = 60_000


_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")


def _clamp(least: int, most: int) -> BeforeValidator:
    """Bring a number into the range; a part of one, where a whole is asked for, is left to the type's own check."""

    def clamp(value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
        return max(least, min(most, value)) if is_number else value

    return BeforeValidator(clamp)


def _clamp_whole(least: int, most: int) -> BeforeValidator:
    """Bring a whole number into the range; leave what is none to the type's own check."""

    def clamp(value: Any) -> Any:
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return max(least, min(most, int(value))) if is_whole and not isinstance(value, bool) else value

    return BeforeValidator(clamp)


def _number(value: Any) -> Any:
    """Return a number that came as text, as in a query string; refuse true and false, which Python takes as 1 and 0."""
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value) if set(value) & set(".eE") else int(value)
        raise ValueError("a number is needed")
    if isinstance(value, bool):
        raise ValueError("a number is needed")  # noqa: TRY004 - pydantic turns ValueError into its message
    return value


def _none_if_zero(value: int | None) -> int | None:
    return value or None


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)(?:([Zz])|([+ -])(\d\d:\d\d))", re.ASCII)


_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _moment(value: Any) -> Any:
    """Return a time as RFC 3339 writes it, in UTC. In a query string `+` may have become a blank."""
    given = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    try:
        if given:
            day, time, is_utc, sign, offset = given.groups()
            zone = "+00:00" if is_utc else f"{sign.replace(' ', '+')}{offset}"
            time = f"{time[:6]}59{time[8:]}" if time[6:8] == "60" else time  # a leap second
            return datetime.fromisoformat(f"{day}T{time}{zone}").astimezone(UTC)
    except OverflowError:  # at the ends of the calendar
        return _LATEST if day[0] == "9" else _EARLIEST
    except ValueError:
        pass
    raise ValueError("a time such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+02:00 is needed")


def _line(field: str, most: int, least: int = 1) -> AfterValidator:
    return AfterValidator(lambda value: one_line(field, value, most=most, least=least))


def _parted(value: Any) -> Any:
    """Return a list of names that came as one text, parted by commas."""
    if isinstance(value, str) and len(value) > 2_000:
        raise ValueError("channels are at most 2,000 characters")
    return tuple(value.split(",")) if isinstance(value, str) else value


_Channel = Annotated[str, Field(max_length=1000), AfterValidator(channel_name)]
ChannelName = Annotated[
    _Channel, Told(pattern="[A-Za-z0-9]", **{"not": {"pattern": LONG_CHANNEL}}, examples=["orders"])
]
ChannelNames = Annotated[
    tuple[_Channel, ...],
    BeforeValidator(_parted),
    WithJsonSchema({"type": "string", "maxLength": 2_000}),
    Told(pattern=CHANNEL_LIST, **{"not": {"pattern": LONG_IN_LIST}}, examples=["orders,general"]),
]
InstanceId = Annotated[  # its form is checked where it is bound to a caller
    str, Field(min_length=1, max_length=80), Told(pattern=ONE_LINE, examples=["api-expert"])
]
MessageId = Annotated[  # bounds first: else no `minimum`
    int, Field(ge=0, le=BIGGEST_ID), BeforeValidator(_number), Told(examples=[41])
]
AfterId = Annotated[int, _clamp_whole(0, BIGGEST_ID), BeforeValidator(_number), Told(examples=[40])]
ReplyTo = Annotated[MessageId | None, AfterValidator(_none_if_zero)]
Limit = Annotated[int, _clamp_whole(1, 200), BeforeValidator(_number), clamped(1, 200)]
SearchLimit = Annotated[int, _clamp_whole(1, 100), BeforeValidator(_number), clamped(1, 100)]
Seconds = Annotated[float, Field(allow_inf_nan=False), _clamp(0, 86_400), BeforeValidator(_number)]
Minutes = Annotated[float, Field(allow_inf_nan=False), _clamp(0, 1_440), BeforeValidator(_number)]
Lease = Annotated[float, Field(allow_inf_nan=False), _clamp(1, 86_400), BeforeValidator(_number), clamped(1, 86_400)]
Offset = Annotated[int, _clamp_whole(0, BIGGEST_ID), BeforeValidator(_number)]
Length = Annotated[int, _clamp_whole(1, BIGGEST_ID), BeforeValidator(_number)]
Description = Annotated[str, Field(max_length=500), _line("description", 500, 0), Told(pattern=LINE_OR_NONE)]
Query = Annotated[
    str,
    Field(min_length=1, max_length=500),
    AfterValidator(lambda v: storable("query", v)),
    Told(pattern=STORABLE, examples=["orders"]),
]
DataKey = Annotated[
    str, Field(min_length=1, max_length=200), _line("key", 200), Told(pattern=ONE_LINE, examples=["plans/orders.md"])
]
Content = Annotated[
    str, AfterValidator(lambda v: storable("content", v)), Told(pattern=STORABLE, examples=["Who reads /orders?"])
]
IdempotencyKey = Annotated[
    str, Field(min_length=1, max_length=128), _line("idempotency_key", 128), Told(pattern=ONE_LINE)
]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string"}),  # not every client knows `format`
    Told(format="date-time", examples=["2026-01-31T12:00:00Z"]),
]
MessageType = Literal["message", "request", "response", "status", "handoff", "done"]


class Params(BaseModel):
    """The arguments of an operation."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class Register(Params):
    """Join the bus under a name, or come back as it. Answers with channels, instances and your unread counts."""

    instance_id: InstanceId = Field(
        default="", validate_default=False, description="Your name here, such as api-expert"
    )
    description: Description = Field(default="", description="What you know or work on")
    client: Annotated[str, Field(max_length=120), _line("client", 120, 0), Told(pattern=LINE_OR_NONE)] = ""
    takeover: StrictBool = Field(default=False, description="End the open wait of another client under this name")


class Unregister(Params):
    """Leave the bus and free your place; your unread messages stay for when you come back."""

    instance_id: InstanceId = Field(default="", validate_default=False)


class ListInstances(Params):
    """List who takes part, last seen first, and whether each is online or waiting."""


class CreateChannel(Params):
    """Make a channel; names are lower-cased and dashed. An existing one is fine."""

    name: ChannelName
    description: Description = ""


class ListChannels(Params):
    """List channels, latest activity first."""


class FindChannel(Params):
    """Find channels whose name or description contains the text."""

    query: Query


class SendMessage(Params):
    """Post a message to a channel and wake whoever waits there. End a conversation with message_type done."""

    channel: ChannelName = "general"
    sender: InstanceId = Field(default="", validate_default=False, description="Your instance_id")
    content: Annotated[Content, Field(min_length=1, max_length=64_000)]
    message_type: MessageType = "message"
    in_reply_to: ReplyTo = Field(default=None, description="Id of the message this answers, same channel")
    idempotency_key: IdempotencyKey | None = Field(
        default=None, description="Repeat a send with the same key and it is stored once"
    )


class CheckMessages(Params):
    """Read a channel now: the newest messages, or with after_id those after it. Give instance_id to leave your own
    out and to remember what you were shown."""

    channel: ChannelName = "general"
    after_id: AfterId | None = None
    limit: Limit = 20
    instance_id: InstanceId | None = None


class ReadMessages(CheckMessages):
    """Read a channel; with `wait` (seconds, at most 40) answer as soon as a message is there."""

    wait: Seconds = 0


class WaitForReply(Params):
    """Wait until somebody else writes in the channel; answers at once if something is already there. Call it
    again with the last id you saw as after_id to keep listening."""

    channel: ChannelName = "general"
    after_id: AfterId | None = None
    instance_id: InstanceId = Field(default="", validate_default=False)
    timeout_seconds: Seconds = 90
    poll_interval_seconds: Seconds | None = Field(default=None, description="Not needed: you are woken")
    persistent: bool = Field(default=True, description="Go on past timeout_seconds, up to max_wait_minutes")
    max_wait_minutes: Minutes | None = None
    role: Literal["active", "parked"] = Field(default="active", description="parked: idle, expecting nothing soon")


class GetReplies(Params):
    """Get a message and the replies to it."""

    message_id: MessageId
    channel: ChannelName | None = None


class MessageStatus(Params):
    """Tell what became of a message: who was handed it, who answered, who has claimed it."""

    message_id: MessageId
    channel: ChannelName | None = None


class ClaimMessage(Params):
    """Take a request or handoff that several could work on: one instance gets it, the others are refused. Your reply
    ends the claim; claim again to hold it longer."""

    message_id: MessageId
    channel: ChannelName | None = None
    instance_id: InstanceId = Field(default="", validate_default=False)
    lease_seconds: Lease = 600
    release: StrictBool = Field(default=False, description="Give it back")


class GetInbox(Params):
    """Get your unread messages of all channels, oldest first; with wait, as soon as there is one. ack says up to
    which id you do not need a channel's messages again."""

    instance_id: InstanceId = Field(default="", validate_default=False)
    limit: Limit = 20
    wait: Seconds = 0
    ack: dict[_Channel, AfterId] | None = Field(default=None, max_length=100)


class ReadInbox(Params):
    """Get unread messages of all channels, oldest first; with `wait` as soon as there is one."""

    instance_id: InstanceId = Field(default="", validate_default=False)
    limit: Limit = 20
    wait: Seconds = 0


class AckInbox(Params):
    """Say that the messages of a channel up to an id need not be shown again."""

    instance_id: InstanceId = Field(default="", validate_default=False)
    channel: ChannelName
    up_to: AfterId


class Subscribe(Params):
    """Choose a channel whose news you want to hear of; it wakes nobody by itself, the answer says what hears it."""

    instance_id: InstanceId = Field(default="", validate_default=False)
    channel: ChannelName


class Unsubscribe(Params):
    """Take a subscription back; without any you hear of every channel."""

    instance_id: InstanceId = Field(default="", validate_default=False)
    channel: ChannelName


class Listen(Params):
    """Hear at once, as Server-Sent Events and without content, which channels have news: each event is a channel and
    the id of its newest message by others, its `id` where to go on: as `Last-Event-ID`, or after_id, nothing is missed.
    Without either it begins now."""

    instance_id: InstanceId | None = Field(
        default=None, description="Your name: your own messages are left out, and you are online while you listen"
    )
    channels: ChannelNames | None = Field(
        default=None,
        description="Names, parted by commas; without them the channels the instance has subscribed to, else all",
    )
    after_id: AfterId | None = Field(default=None, description="The last `id` you have seen")


class ShowUnread(Params):
    """Show how many unread messages an instance has in which channels."""

    instance_id: InstanceId


class SearchMessages(Params):
    """Search messages, best match first: all words must be there, each also as the beginning of a longer one. Text
    with signs, such as POL-3, or without blanks between words is looked for as it stands, in the newest messages."""

    query: Query
    limit: SearchLimit = 10
    channel: ChannelName | None = None
    sender: Annotated[InstanceId, _line("sender", 80)] | None = None
    message_type: MessageType | None = None
    since: Moment | None = Field(default=None, description="Earliest time, RFC 3339")
    until: Moment | None = Field(default=None, description="Latest time")

    @model_validator(mode="after")
    def _since_is_not_after_until(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise invalid("since must not be later than until.", field="since")
        return self


class ShareData(Params):
    """Store large text under a key for everybody; sharing again replaces it. Then send the key in a message."""

    key: DataKey
    content: Content
    sender: InstanceId = Field(default="", validate_default=False)
    description: Description = ""


class GetSharedData(Params):
    """Get shared text; long text comes in parts, next_offset fetches the next."""

    key: DataKey
    offset: Offset = 0
    length: Length | None = Field(default=None, description="Characters")


class ListSharedData(Params):
    """List shared items, newest first."""


class DeleteSharedData(Params):
    """Delete a shared item."""

    key: DataKey


class WhoAmI(Params):
    """Tell who you are here, your plan and what is used of it."""


class GetUsage(Params):
    """Tell the plan and what is used of it."""
