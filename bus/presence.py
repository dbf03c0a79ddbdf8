"""How long a sign of life counts."""

from __future__ import annotations

from datetime import timedelta

ONLINE = timedelta(seconds=120)
"""Seen within this time is online; so is whoever waits."""
HOLDS_PLACE = timedelta(minutes=30)
"""Seen within this time holds one of the plan's places."""
TOUCHED_EVERY = timedelta(seconds=15)
"""A sign of life is written at most once in this time."""
WAIT_ALIVE = timedelta(seconds=30)
"""A blocking wait whose process gave no heartbeat for this long is over."""
