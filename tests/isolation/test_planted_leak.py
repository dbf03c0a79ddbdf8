"""The walk can fail: a query that forgets the workspace, planted in any place that reaches rows, is found by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from bus import access, beats, hot, storing
from bus.models import Channel, ChannelSubscription, Instance, Message, SharedItem
from bus.services import limits, search
from tests.isolation.walk import findings, steps
from tests.support.surfaces import Surface, SurfaceName

pytestmark = pytest.mark.slow

type Plant = Callable[[pytest.MonkeyPatch], None]


def in_access(name: str, forgetful: Callable[..., Any]) -> Plant:
    """Return a plant that replaces a function of access.py."""
    return lambda patch: patch.setattr(access, name, forgetful)


def in_sql(module: Any, *changes: tuple[str, str]) -> Plant:
    """Return a plant that takes the filter out of a statement which a module fetches, in each place that has it."""

    def forgetful(sql: str) -> str:
        for filtered, unfiltered in changes:
            sql = sql.replace(filtered, unfiltered)
        return sql

    def plant(patch: pytest.MonkeyPatch) -> None:
        real = module.fetch
        source = Path(module.__file__).read_text(encoding="utf-8")
        assert all(filtered in source for filtered, _ in changes), "the statement reads otherwise now: mend the plant"
        patch.setattr(module, "fetch", lambda sql, params: real(forgetful(sql), params))

    return plant


def newest_of_all(workspace_id: int, channel_id: int, floor: int, reader: str | None, limit: int) -> list[hot.Row]:
    sql = f"SELECT {hot._MESSAGE} FROM bus_message WHERE number >= %s ORDER BY id DESC LIMIT %s"  # noqa: S608
    return [hot._row(raw) for raw in hot.fetch(sql, [floor, limit])]


def in_search(patch: pytest.MonkeyPatch) -> None:
    """Forget it both where hits are found and where they are read: either alone tells a stranger nothing."""
    numbers = Message.objects.order_by("-pk").values_list("number", flat=True)
    for finder in ("_by_words", "_literally"):
        patch.setattr(search, finder, lambda *_: (list(numbers.all()[:50]), None))
    patch.setattr(access, "messages", lambda principal: Message.objects.select_related("channel").order_by("pk"))


PLANTS: dict[str, tuple[str, Plant]] = {
    "access.messages in a search": ("search_messages", in_search),
    "access.messages in replies": (
        "get_replies",
        in_access("messages", lambda principal: Message.objects.select_related("channel")),
    ),
    "access.channels in the list": (
        "list_channels",
        in_access(
            "channels",
            lambda principal: Channel.objects.filter(archived_at=None).order_by(
                F("last_message_at").desc(nulls_last=True)
            ),
        ),
    ),
    "access.channels in similar names": (
        "create_channel",
        in_access("channels", lambda principal: Channel.objects.order_by("-pk")),
    ),
    "access.find_channel": (
        "ack_inbox",
        in_access("find_channel", lambda principal, name: Channel.objects.filter(name=name).last()),
    ),
    "access.instances": ("list_instances", in_access("instances", lambda principal: Instance.objects.order_by("-pk"))),
    "access.subscriptions": (
        "subscribe",
        in_access("subscriptions", lambda principal, instance: ChannelSubscription.objects.order_by("-pk")),
    ),
    "access.shared_items": (
        "get_shared_data",
        in_access("shared_items", lambda principal: SharedItem.objects.order_by("-pk")),
    ),
    "access.shared_items in the list": (
        "list_shared_data",
        in_access("shared_items", lambda principal: SharedItem.objects.order_by("-pk")),
    ),
    "access.shared_items in a deletion": (
        "delete_shared_data",
        in_access("shared_items", lambda principal: SharedItem.objects.order_by("-pk")),
    ),
    "hot.after": ("check_messages", lambda patch: patch.setattr(hot, "after", newest_of_all)),
    "hot.newest": ("check_messages", lambda patch: patch.setattr(hot, "newest", newest_of_all)),
    "hot.standing": (
        "register",
        in_sql(
            hot,
            ("JOIN bus_channel c ON c.workspace_id = i.workspace_id AND", "JOIN bus_channel c ON"),
            ("WHERE m.workspace_id = p.workspace_id AND", "WHERE"),
        ),
    ),
    "beats.waiting": (
        "send_message",
        in_sql(beats, ("WHERE w.workspace_id = %s AND", "WHERE %s > 0 AND")),
    ),
    "storing.remembered": (
        "send_message",
        in_sql(storing, ("k.workspace_id = %s AND k.sender", "%s > 0 AND k.sender")),
    ),
    "limits.channels_used": (
        "usage",
        lambda patch: patch.setattr(limits, "channels_used", lambda principal: Channel.objects.count()),
    ),
}


@pytest.mark.parametrize("place", PLANTS)
def test_a_query_that_forgets_the_workspace_is_found(
    surface: Callable[[SurfaceName], Surface], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    operation, plant = PLANTS[place]
    plant(monkeypatch)
    found = next(findings(lambda hers: steps(surface("lane"), hers, only=operation)), "")
    assert found, f"{place} forgets the workspace and {operation} tells a stranger nothing of it"
