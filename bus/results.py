"""What operations return: plain JSON data. Times are RFC 3339 in UTC; ids are numbers of the workspace."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from bus.told import Time


class ToInstance(TypedDict):
    """What any answer to an instance tells beside what it asked for: what it has not read and this answer does not
    hold, by channel, five at most; and where a task waits (a channel, or `inbox`) for which no client asks any more.
    """

    unread: NotRequired[dict[str, int]]
    unheard: NotRequired[str]


class Ok(ToInstance):
    """Done."""

    ok: bool


class MessageItem(TypedDict):
    """A message as clients see it. `again` marks one that was in an earlier answer nobody confirmed."""

    id: int
    channel: str
    sender: str
    content: str
    message_type: str
    in_reply_to: int | None
    created_at: Time
    reply_count: int
    verified: bool
    sender_kind: str
    again: NotRequired[bool]


class Sent(ToInstance):
    """A stored message. `recipients` is how many wait there now; `created` is false for a retry's first answer."""

    ok: bool
    id: int
    channel: str
    message_type: str
    in_reply_to: NotRequired[int]
    created: bool
    recipients: int
    last_shown: int | None


class Messages(ToInstance):
    """Messages of one channel, oldest first. `older`: this answer left older ones out; `fetch`: what gets them.

    After a wait: what `ended` it, and `resume_after_id`, to wait on from; `no_such_channel` when there is none of that
    name.
    """

    messages: list[MessageItem]
    last_id: int | None
    has_more: bool
    older: NotRequired[bool]
    ended: NotRequired[str]
    resume_after_id: NotRequired[int]
    no_such_channel: NotRequired[bool]
    fetch: NotRequired[str]


_With = TypedDict("_With", {"with": NotRequired[list[str]]})


class Waited(Messages, _With):
    """What ended a wait: `message`, `done`, `time`, `superseded`, `restart`, `unregistered`, `mutual`, `revoked`; or
    `listening`, a task does.

    After `mutual`: `with` whom it stood still, and where those wait (`waiting_on`).
    """

    channel: str
    waited_seconds: float
    waiting_on: NotRequired[list[str]]


class Replies(ToInstance):
    """A message and what answers it; a parent past the retention reads as null."""

    parent: MessageItem | None
    replies: list[MessageItem]
    has_more: bool


class Handed(TypedDict):
    """An instance that was handed a message, and when first."""

    instance_id: str
    at: Time


class Answered(TypedDict):
    """A reply: who wrote it, its id, when."""

    by: str
    id: int
    at: Time


class Claimed(TypedDict):
    """Who has claimed a message, and until when unless that instance answers or gives it back before."""

    by: str
    until: Time


class Receipts(ToInstance):
    """What is known of a message: when it was stored, in answers to whom it was (not whether they acted on it), what
    answers it, who has claimed it. `has_more`: a list is longer than shown."""

    id: int
    channel: str
    sender: str
    message_type: str
    accepted: Time
    handed: list[Handed]
    answered: list[Answered]
    claimed: Claimed | None
    has_more: bool


class Claim(ToInstance):
    """Who holds the message now, null once it is given back. `reply_count`: how often it was answered already."""

    ok: bool
    id: int
    channel: str
    claimed_by: str | None
    until: Time | None
    reply_count: int


class Inbox(TypedDict):
    """Unread messages of all channels, oldest first, and how many are left unread after them."""

    messages: list[MessageItem]
    unread: dict[str, int]
    has_more: bool
    unheard: NotRequired[str]
    ended: NotRequired[str]


class ChannelItem(TypedDict):
    """A channel; `active_senders` is one string, `a, b`."""

    name: str
    description: str
    created_at: Time
    message_count: int
    last_message_at: Time | None
    active_senders: str


class Channels(ToInstance):
    """Channels, latest activity first."""

    channels: list[ChannelItem]
    has_more: NotRequired[bool]


class ChannelMade(ToInstance):
    """A channel that is there now, and the names of others that look like it."""

    ok: bool
    channel: str
    created: bool
    similar: list[str]


class WaitItem(TypedDict):
    """Where an instance waits or listens: on a channel (null: on all). `kind`: `wait`, `inbox`, `task`, `events`.
    `role` is `parked` for who expects nothing soon. It ends by `until`, most are begun anew then."""

    channel: str | None
    kind: str
    role: str
    since: Time
    until: Time


class InstanceItem(TypedDict):
    """An instance; `waiting_on` names the channels it waits on. `wake` is how it can be reached now: `waiting` (a
    message is handed to it at once), `events` (a program of its hears of it), `poll` (when it looks)."""

    instance_id: str
    description: str
    status: str
    last_seen: Time
    client: str
    waiting_on: list[str]
    wake: str
    waits: list[WaitItem]


class Subscribed(ToInstance):
    """All channels an instance is subscribed to now (none: it hears of every one), and what tells of their news."""

    ok: bool
    channel: str
    channels: list[str]
    told: str


class Event(TypedDict):
    """One event. `data` is JSON, `{"channel": "orders", "newest_id": 41}`: a channel that moved and the id of its
    newest message by others; where `event` is `end`, `{"why": "time"}`. `id` is the place to go on from."""

    id: str
    data: str
    event: NotRequired[str]


class Unread(TypedDict):
    """How many messages an instance has not read, by channel; `has_more` when there are further channels."""

    instance_id: str
    unread: dict[str, int]
    has_more: bool


class Instances(ToInstance):
    """Instances, last seen first."""

    instances: list[InstanceItem]
    has_more: NotRequired[bool]


class Registered(TypedDict):
    """What a newcomer needs to know. Of many instances 30 are shown, those online first; list_instances has all."""

    ok: bool
    instance_id: str
    is_new: bool
    channels: list[ChannelItem]
    instances: list[InstanceItem]
    unread: dict[str, int]
    unheard: NotRequired[str]


class Found(ToInstance):
    """Messages that match, best first; `searched_back_to` (an id) when older ones were not looked at."""

    messages: list[MessageItem]
    searched_back_to: NotRequired[int]


class SharedMade(ToInstance):
    """A stored item."""

    ok: bool
    key: str
    size_bytes: int
    expires_at: Time | None


class SharedEntry(TypedDict):
    """A shared item in a list, without its content."""

    key: str
    created_by: str
    description: str
    size_bytes: int
    created_at: Time
    expires_at: Time | None


class SharedList(ToInstance):
    """Shared items, newest first."""

    items: list[SharedEntry]
    has_more: NotRequired[bool]


class SharedContent(SharedEntry, ToInstance):
    """An item or a part of it; `next_offset` (in characters) fetches what follows, null at the end."""

    content: str
    offset: int
    next_offset: int | None


class Quota(TypedDict):
    """One figure of the plan: how much is used, the bound (null: none), what is left."""

    used: int
    limit: int | None
    left: int | None


class Usage(ToInstance):
    """The plan and what is used of it."""

    workspace: str
    plan: str
    messages: Quota
    instances: Quota
    channels: Quota
    data_bytes: Quota
    retention_days: int | None
    calls_per_minute: int | None
    resets_at: Time
    upgrade_url: str


class Identity(ToInstance):
    """Who the caller is."""

    workspace: str
    key_name: str
    kind: str
    read_only: bool
    instance: str | None
    client: str
    server_time: Time
    usage: Usage
