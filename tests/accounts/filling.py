"""Many messages at once, past every service."""

from __future__ import annotations

from datetime import timedelta

from accounts.models import Workspace
from bus.fulltext import words_column
from bus.models import Channel, Counters, Message
from crosswire.lib import clock


def fill(workspace: Workspace, count: int, content: str = "x" * 200) -> None:
    """Store messages in the channel `general`, numbered from 1."""
    channel = Channel.objects.get(workspace=workspace, name="general")
    now = clock.now() - timedelta(minutes=1)
    words = words_column(workspace.pk, content)
    for start in range(1, count + 1, 5_000):
        Message.objects.bulk_create(
            Message(
                workspace=workspace,
                channel=channel,
                number=number,
                channel_seq=number,
                sender="writer",
                content=content,
                created_at=now,
                words=words,
            )
            for number in range(start, min(start + 5_000, count + 1))
        )
    Counters.objects.filter(workspace=workspace).update(last_number=count)
