"""Making what is stored look older, where the clock of everybody else must stay."""

from __future__ import annotations

from datetime import timedelta

from bus.models import HandOut, Message, SharedItem
from crosswire.lib import clock
from tests.support.cast import Caller


def age(caller: Caller, **by: float) -> None:
    """Have everything in a workspace be stored so long ago."""
    at = clock.now() - timedelta(**by)
    Message.objects.filter(workspace=caller.workspace).update(created_at=at)
    SharedItem.objects.filter(workspace=caller.workspace).update(created_at=at)
    HandOut.objects.filter(workspace=caller.workspace).update(at=at)
