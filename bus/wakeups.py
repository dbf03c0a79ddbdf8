"""What the bus tells the rest of the product after a commit. A wake carries no content: it says "look"."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from crosswire.lib import hub

CHANNEL = "bus.channel"
"""A message was stored: {"workspace", "channel", "number"}."""
WAIT_ENDED = "bus.wait-ended"
"""A wait was ended from outside: {"token", "why"}."""
DATA = "bus.data"
"""A shared item changed: {"workspace", "key"}."""
CHANNELS = "bus.channels"
"""A channel was made, described, archived or brought back: {"workspace"}."""
ROOM = "bus.room"
"""What people see around a channel's messages changed (pause, description, a claim): {"workspace", "channel"}."""


def stored(workspace_id: int, newest: dict[str, int], made: Iterable[str] = ()) -> None:
    """Wake whoever waits on these channels ({name: newest number}), once the transaction is committed."""

    def tell() -> None:
        for channel, number in newest.items():
            hub.publish(CHANNEL, {"workspace": workspace_id, "channel": channel, "number": number})
        if any(made):
            hub.publish(CHANNELS, {"workspace": workspace_id})

    transaction.on_commit(tell)


def room_changed(workspace_id: int, channel: str) -> None:
    """Tell whoever has a channel's page open to look."""
    transaction.on_commit(lambda: hub.publish(ROOM, {"workspace": workspace_id, "channel": channel}))


def channel_made(workspace_id: int) -> None:
    """Tell that the list of channels changed."""
    transaction.on_commit(lambda: hub.publish(CHANNELS, {"workspace": workspace_id}))


def wait_ended(token: str, why: str) -> None:
    """End somebody's wait, in whatever process it is."""
    transaction.on_commit(lambda: hub.publish(WAIT_ENDED, {"token": token, "why": why}))


def data_changed(workspace_id: int, key: str) -> None:
    """Tell that a shared item was replaced or deleted."""
    transaction.on_commit(lambda: hub.publish(DATA, {"workspace": workspace_id, "key": key}))
