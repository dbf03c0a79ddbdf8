"""Erasing: a workspace that was deleted, and the name of a person whose account was. In steps of bounded size; what was
cut off goes on when it is asked for again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import Model

from accounts.models import Member
from accounts.principals import PERSON
from bus.models import (
    Channel,
    ChannelSender,
    ChannelSubscription,
    Claim,
    Counters,
    Cursor,
    HandOut,
    IdempotencyKey,
    Instance,
    Message,
    SharedItem,
    Wait,
)
from crosswire.lib import steps
from crosswire.lib.database import writing
from crosswire.lib.steps import TOGETHER, Step

SOMEBODY = "human"
"""The sender of what a person wrote whose account is no more."""
LARGE_TOGETHER = 50
_TABLES: tuple[tuple[type[Model], int], ...] = (
    (HandOut, TOGETHER),
    (Cursor, TOGETHER),
    (Claim, TOGETHER),
    (Wait, TOGETHER),
    (ChannelSubscription, TOGETHER),
    (ChannelSender, TOGETHER),
    (IdempotencyKey, TOGETHER),
    (SharedItem, LARGE_TOGETHER),
    (Message, TOGETHER),
    (Channel, TOGETHER),
    (Instance, TOGETHER),
    (Counters, TOGETHER),
)
"""Every table, those that name others first, and how many rows go together."""


def erase(workspace_id: int, alive: Callable[[], None], *, is_last: bool) -> None:
    """Delete all rows of a workspace. Counters stay until the last time: whoever stores something locks them."""
    for model, together in _TABLES:
        rows = model._default_manager.filter(workspace=workspace_id)  # noqa: SLF001 - any of these models
        if is_last:
            rows.delete()
        elif model is not Counters:
            steps.delete(rows, alive, together)


def forget_person(places: Iterable[tuple[int, int | None, str]], alive: Callable[[], None]) -> list[tuple[int, str]]:
    """Put `human` in the place of a person's name, wherever they wrote. What they wrote stays.

    Returns the workspaces and the names that are nobody's there any more. A name that somebody else there has too is
    taken from the messages alone.
    """
    found = []
    for workspace_id, member_id, name in places:
        names = {name}
        if member_id is not None:
            steps.take(_renaming(workspace_id, names, {"member": member_id}), alive)
        for written in sorted(names - _names_of_others(workspace_id, member_id)):
            _forget_name(workspace_id, written, alive)
            found.append((workspace_id, written))
    return found


def _names_of_others(workspace_id: int, member_id: int | None) -> set[str]:
    others = Member.objects.filter(workspace=workspace_id).exclude(pk=member_id or 0).select_related("user")
    return {PERSON + other.user.get_full_name() for other in others}


def _forget_name(workspace_id: int, name: str, alive: Callable[[], None]) -> None:
    senders = ChannelSender.objects.filter(workspace=workspace_id, sender=name)
    for channel_id in list(senders.values_list("channel_id", flat=True)):
        theirs = {"channel": channel_id, "sender": name, "member": None}
        steps.take(_renaming(workspace_id, set(), theirs), alive)
        _rename_sender(workspace_id, channel_id, name)
    with writing():
        Channel.objects.filter(workspace=workspace_id, last_sender=name).update(last_sender=SOMEBODY)
        SharedItem.objects.filter(workspace=workspace_id, created_by=name).update(created_by=SOMEBODY)
        IdempotencyKey.objects.filter(workspace=workspace_id, sender=name).delete()


def _renaming(workspace_id: int, names: set[str], which: dict[str, Any]) -> Step:
    """Return the step that renames some messages of people; the names they were under are added to `names`."""

    def step() -> bool:
        people = Message.objects.filter(workspace=workspace_id, sender_kind=Message.SenderKind.HUMAN, **which)
        with writing():
            found = list(people.values_list("pk", "sender")[:TOGETHER])
            some = Message.objects.filter(workspace=workspace_id, pk__in=[pk for pk, _ in found])
            some.update(sender=SOMEBODY, member=None)
        names.update(sender for _, sender in found if sender != SOMEBODY)
        return len(found) == TOGETHER

    return step


def _rename_sender(workspace_id: int, channel_id: int, name: str) -> None:
    """Rename who wrote in a channel; of two that become one the later time stays."""
    senders = ChannelSender.objects.filter(workspace=workspace_id, channel=channel_id)
    with writing():
        theirs = senders.select_for_update().filter(sender=name).first()
        if theirs is None:
            return
        known = senders.select_for_update().filter(sender=SOMEBODY).first()
        if known is None:
            theirs.sender = SOMEBODY
            theirs.save(update_fields=["sender"])
            return
        known.last_number, known.last_at = (
            max(known.last_number, theirs.last_number),
            max(known.last_at, theirs.last_at),
        )
        known.save(update_fields=["last_number", "last_at"])
        theirs.delete()


def counts(workspace_id: int) -> list[tuple[str, int]]:
    """Return what a workspace holds, for people. Messages by the counters, without counting them."""
    last_number = Counters.objects.values_list("last_number", flat=True).get(workspace=workspace_id)
    return [
        ("messages ever sent", last_number),
        ("channels", Channel.objects.filter(workspace=workspace_id).count()),
        ("instances", Instance.objects.filter(workspace=workspace_id).count()),
        ("items of shared data", SharedItem.objects.filter(workspace=workspace_id).count()),
    ]
