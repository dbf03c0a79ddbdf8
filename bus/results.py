"""What operations return: plain JSON data. Times are RFC 3339 in UTC; ids are numbers of the workspace."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from bus.told import Time


class Ok(TypedDict):
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


class Sent(TypedDict):
    """A stored message. `recipients` is how many wait there now; `created` is false for a retry's first answer."""

    ok: bool
    id: int
    channel: str
    message_type: str
    in_reply_to: NotRequired[int]
    created: bool
    recipients: int
    last_shown: int | None
    unread: NotRequired[dict[str, int]]


class Messages(TypedDict):
    """Messages of one channel, oldest first. `older`: this answer left older ones out. `unread`: elsewhere."""

    messages: list[MessageItem]
    last_id: int | None
    has_more: bool
    older: NotRequired[bool]
    ended: NotRequired[str]
    unread: NotRequired[dict[str, int]]
    fetch: NotRequired[str]


class Waited(Messages):
    """What ended a wait: `message`, `done`, `time`, `superseded`, `restart`, `revoked`."""

    channel: str
    waited_seconds: float
    resume_after_id: int


class Replies(TypedDict):
    """A message and what answers it; a parent past the retention reads as null."""

    parent: MessageItem | None
    replies: list[MessageItem]
    has_more: bool


class Inbox(TypedDict):
    """Unread messages of all channels, oldest first, and how many are left unread after them."""

    messages: list[MessageItem]
    unread: dict[str, int]
    has_more: bool
    ended: NotRequired[str]


class ChannelItem(TypedDict):
    """A channel; `active_senders` is one string, `a, b`."""

    name: str
    description: str
    created_at: Time
    message_count: int
    last_message_at: Time | None
    active_senders: str


class Channels(TypedDict):
    """Channels, latest activity first."""

    channels: list[ChannelItem]
    has_more: NotRequired[bool]


class ChannelMade(TypedDict):
    """A channel that is there now, and the names of others that look like it."""

    ok: bool
    channel: str
    created: bool
    similar: list[str]


class InstanceItem(TypedDict):
    """An instance; `waiting_on` names the channels it waits on, `wake` how it can be reached now."""

    instance_id: str
    description: str
    status: str
    last_seen: Time
    client: str
    waiting_on: list[str]
    wake: str


class Instances(TypedDict):
    """Instances, last seen first."""

    instances: list[InstanceItem]
    has_more: NotRequired[bool]


class Registered(TypedDict):
    """What a newcomer needs to know."""

    ok: bool
    instance_id: str
    is_new: bool
    channels: list[ChannelItem]
    instances: list[InstanceItem]
    unread: dict[str, int]


class Found(TypedDict):
    """Messages that match, best first; `searched_back_to` (an id) when older ones were not looked at."""

    messages: list[MessageItem]
    searched_back_to: NotRequired[int]


class SharedMade(TypedDict):
    """A stored item."""

    ok: bool
    key: str
    size_bytes: int
    expires_at: Time | None
    unread: NotRequired[dict[str, int]]


class SharedEntry(TypedDict):
    """A shared item in a list, without its content."""

    key: str
    created_by: str
    description: str
    size_bytes: int
    created_at: Time
    expires_at: Time | None


class SharedList(TypedDict):
    """Shared items, newest first."""

    items: list[SharedEntry]
    has_more: NotRequired[bool]


class SharedContent(SharedEntry):
    """An item or a part of it; `next_offset` (in characters) fetches what follows, null at the end."""

    content: str
    offset: int
    next_offset: int | None


class Quota(TypedDict):
    """One figure of the plan: how much is used, the bound (null: none), what is left."""

    used: int
    limit: int | None
    left: int | None


class Usage(TypedDict):
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


class Identity(TypedDict):
    """Who the caller is."""

    workspace: str
    key_name: str
    kind: str
    read_only: bool
    instance: str | None
    client: str
    server_time: Time
    usage: Usage
