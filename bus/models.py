"""The bus's tables. Each row carries its workspace, the first column of every index that a tenant's query uses.

`number` is a message's id as clients see it: it counts up inside its workspace from 1 (semantics: "Order").
"""

from __future__ import annotations

from django.db import models

from accounts.models import Member, Workspace
from crosswire.lib import clock
from crosswire.lib.fields import WordsField


class Owned(models.Model):
    """A row of a workspace."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)

    class Meta:
        abstract = True


class Counters(models.Model):
    """One row a workspace, locked by whatever takes a number, a place, a quota or bytes."""

    workspace = models.OneToOneField(Workspace, models.CASCADE, related_name="counters")
    last_number = models.BigIntegerField(default=0)
    last_at = models.DateTimeField(default=clock.now)
    month = models.PositiveIntegerField(default=0, help_text="Calendar month in UTC, such as 202611.")
    month_messages = models.PositiveIntegerField(default=0)
    data_bytes = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"#{self.last_number}"


class Channel(Owned):
    """A named conversation. `last_other` is the newest number not by `last_sender`: with it "is there anything by
    others after N" needs no look at the messages."""

    name = models.CharField(max_length=80)
    description = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    paused_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    last_seq = models.BigIntegerField(default=0)
    last_number = models.BigIntegerField(default=0)
    last_sender = models.CharField(max_length=80, blank=True)
    last_other = models.BigIntegerField(default=0)
    last_message_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "name"], name="channel_name"),)
        indexes = (models.Index(fields=["workspace", "-last_number"], name="channel_newest"),)

    def __str__(self) -> str:
        return f"#{self.name}"


class ChannelSender(Owned):
    """That somebody wrote in a channel, and when last."""

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="+", db_index=False)
    sender = models.CharField(max_length=80)
    last_number = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "channel", "sender"], name="channel_sender_once"),)

    def __str__(self) -> str:
        return self.sender


class Message(Owned):
    """One message. `in_reply_to` is a number of the same channel, no foreign key: a reply outlives its parent.

    `words` feeds the full-text index, see bus/fulltext.py. On SQLite triggers do: a migration that makes the table
    anew has to make them anew as well.
    """

    class Type(models.TextChoices):
        """What a message is for; `done` says that no more replies will come."""

        MESSAGE = "message"
        REQUEST = "request"
        RESPONSE = "response"
        STATUS = "status"
        HANDOFF = "handoff"
        DONE = "done"

    class SenderKind(models.TextChoices):
        """Who wrote it; set by the server alone."""

        AGENT = "agent"
        HUMAN = "human"
        SYSTEM = "system"

    number = models.BigIntegerField()
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="+", db_index=False)
    channel_seq = models.BigIntegerField()
    sender = models.CharField(max_length=80)
    sender_kind = models.CharField(max_length=6, choices=SenderKind.choices, default=SenderKind.AGENT)
    member = models.ForeignKey(Member, models.SET_NULL, null=True, blank=True, related_name="+")
    verified = models.BooleanField(default=False)
    message_type = models.CharField(max_length=8, choices=Type.choices, default=Type.MESSAGE)
    content = models.TextField()
    in_reply_to = models.BigIntegerField(null=True, blank=True)
    reply_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    words = WordsField(null=True, editable=False)  # null is "not taken out yet", "" is "none"

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["workspace", "number"], name="message_number"),
            models.UniqueConstraint(fields=["workspace", "channel", "channel_seq"], name="message_channel_seq"),
            models.UniqueConstraint(fields=["workspace", "channel", "number"], name="message_channel_number"),
        )
        indexes = (
            models.Index(fields=["workspace", "created_at", "number"], name="message_by_time"),
            models.Index(
                fields=["workspace", "in_reply_to", "number"],
                name="message_replies_in_order",
                condition=models.Q(in_reply_to__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"#{self.number}"


class Instance(Owned):
    """One AI session or script that takes part. `joined_number` parts history from what it has not read."""

    name = models.CharField(max_length=80)
    description = models.CharField(max_length=500, blank=True)
    client = models.CharField(max_length=120, blank=True)
    joined_number = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)
    last_seen_at = models.DateTimeField(default=clock.now)
    left_at = models.DateTimeField(null=True, blank=True, help_text="Unregistered or gone; null while present.")
    released_at = models.JSONField(
        default=dict, blank=True, help_text="Channel → its last_seq when a mutual wait there was ended for this one."
    )

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "name"], name="instance_name"),)
        indexes = (models.Index(fields=["workspace", "-last_seen_at"], name="instance_newest"),)

    def __str__(self) -> str:
        return self.name


class Cursor(Owned):
    """What an instance was shown in a channel (`shown_to`) and has read without a gap (`read_to`), and the highest
    number an answer to it ever held (`handed_to`).

    The `pending_*` columns hold an answer nobody has confirmed yet: its first number (`pending_from`), where the two
    numbers would stand after it (`pending_shown`, `pending_read`), up to where it is a repeat (`pending_again`).
    """

    class Pending(models.TextChoices):
        """How a pending answer can be confirmed."""

        NONE = "", "nothing pending"
        OPEN = "open", "by any sign: an id of it, a later send, an ack"
        STRICT = "strict", "by an id of it or an ack: the stream broke or a call ran beside it"
        TASK = "task", "by the instance's next call"

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="+", db_index=False)
    instance = models.ForeignKey(Instance, models.CASCADE, related_name="+")
    shown_to = models.BigIntegerField(null=True)
    read_to = models.BigIntegerField()
    handed_to = models.BigIntegerField(default=0)
    pending_from = models.BigIntegerField(null=True)
    pending_shown = models.BigIntegerField(null=True)
    pending_read = models.BigIntegerField(null=True)
    pending_again = models.BigIntegerField(null=True)
    pending_how = models.CharField(max_length=6, choices=Pending.choices, default=Pending.NONE, blank=True)
    pending_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "channel", "instance"], name="cursor_once"),)

    def __str__(self) -> str:
        return f"shown to {self.shown_to}, read to {self.read_to}"


class HandOut(Owned):
    """Which messages of a channel an answer held (all by others from its first to its last), to which instance, when
    first."""

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="+", db_index=False)
    instance = models.ForeignKey(Instance, models.CASCADE, related_name="+")
    from_number = models.BigIntegerField()
    to_number = models.BigIntegerField()
    at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = (
            models.Index(fields=["workspace", "channel", "to_number"], name="handout_range"),
            models.Index(fields=["workspace", "at"], name="handout_age"),
        )

    def __str__(self) -> str:
        return f"{self.from_number}–{self.to_number}"


class Wait(Owned):
    """One open wait (or, for tasks, one asked for): on a channel by name, or on the whole inbox (`channel_name` "").

    A blocking wait's row lives as long as the call and its process's heartbeat; a task's lives by itself.
    """

    class Kind(models.TextChoices):
        """How the waiter is reached."""

        BLOCKING = "blocking"
        LISTENER = "listener", "REST wait, waiting inbox"
        TASK = "task"
        EVENTS = "events", "an open stream of events"

    token = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    role = models.CharField(max_length=6, default="active")
    channel_name = models.CharField(max_length=80, blank=True)
    instance = models.ForeignKey(Instance, models.CASCADE, null=True, related_name="waits")
    credential = models.CharField(max_length=40)
    client = models.CharField(max_length=120, blank=True)
    process = models.CharField(max_length=40, blank=True)
    floor = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    seen_at = models.DateTimeField(default=clock.now, help_text="Last heartbeat of its process, or last tasks/get.")
    ended_at = models.DateTimeField(null=True)
    ended = models.CharField(max_length=12, blank=True)
    poll_due_at = models.DateTimeField(null=True, help_text="By when a task's client asks again; null: it hung up.")
    answer_from = models.BigIntegerField(null=True)
    answer_to = models.BigIntegerField(null=True)
    answer = models.JSONField(null=True, help_text="What a task answered: messages by their numbers in each channel.")
    arguments = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes = (
            models.Index(
                fields=["workspace", "channel_name"], name="wait_by_channel", condition=models.Q(ended_at=None)
            ),
            models.Index(fields=["process"], name="wait_by_process"),
        )

    def __str__(self) -> str:
        return self.token


class Claim(Owned):
    """That one instance took a request or handoff, for a while."""

    number = models.BigIntegerField()
    instance = models.ForeignKey(Instance, models.CASCADE, related_name="+")
    claimed_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "number"], name="claim_once"),)

    def __str__(self) -> str:
        return f"#{self.number} until {self.until}"


class ChannelSubscription(Owned):
    """That an instance wants to hear of a channel."""

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="+", db_index=False)
    instance = models.ForeignKey(Instance, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "channel", "instance"], name="subscription_once"),)

    def __str__(self) -> str:
        return f"{self.instance} on {self.channel}"


class IdempotencyKey(Owned):
    """A send that may be asked for again: the same key and body get the first answer, for 24 hours."""

    sender = models.CharField(max_length=80)
    key = models.CharField(max_length=128)
    body_digest = models.CharField(max_length=64)
    number = models.BigIntegerField()
    channel_name = models.CharField(max_length=80)
    message_type = models.CharField(max_length=8)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "sender", "key"], name="idempotency_key_once"),)
        indexes = (models.Index(fields=["created_at"], name="idempotency_age"),)

    def __str__(self) -> str:
        return self.key


class SharedItem(Owned):
    """Large text under a key; replaced whole. `created_at` is when it was last shared."""

    key = models.CharField(max_length=200)
    content = models.TextField()
    description = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=80)
    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["workspace", "key"], name="shared_item_key"),)
        indexes = (models.Index(fields=["workspace", "-created_at"], name="shared_item_newest"),)

    def __str__(self) -> str:
        return self.key
