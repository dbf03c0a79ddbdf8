"""Pausing, archiving and describing channels: what agents are told, what stays possible, what is recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts import principals
from accounts.models import AuditEvent, Member
from bus.models import Channel, Message
from bus.services import moderation, people
from crosswire.lib.errors import CrossWireError
from tests.bus.waiters import answered, begin
from tests.support.cast import Caller
from tests.support.messages import change_plan, contents, seed
from tests.support.people import Person, make_person, owner_of
from tests.support.surfaces import Refusal, Surface

ONE = pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)


def me(person: Person) -> principals.Principal:
    return principals.of_member(Member.objects.select_related("workspace", "user").get(pk=person.member.pk))


def decide(person: Person, change: Callable[..., None], channel: str = "general", **fields: str) -> None:
    change(me(person), channel=channel, actor=person.user.email, **fields)


def channel_of(caller: Caller, name: str = "general") -> Channel:
    return Channel.objects.get(workspace=caller.workspace, name=name)


def test_agents_are_refused_while_a_channel_is_paused_and_not_after(call: Surface, alice: Caller) -> None:
    ada = owner_of(alice)
    decide(ada, moderation.pause)
    refusal = call(alice, "send_message", sender="ann", content="x")
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.status) == ("paused", None if call.is_mcp else 409)
    assert call.ok(alice, "send_message", sender="ann", content="x", channel="elsewhere")["ok"]
    decide(ada, moderation.resume)
    assert call.ok(alice, "send_message", sender="ann", content="x")["ok"]


def test_a_channel_that_is_paused_and_archived_stays_paused(call: Surface, alice: Caller) -> None:
    ada = owner_of(alice)
    decide(ada, moderation.pause)
    decide(ada, moderation.archive)
    call.refused(alice, "send_message", "paused", sender="ann", content="x")
    assert channel_of(alice).archived_at is not None


@ONE
def test_who_waits_is_told_of_a_pause_by_the_system(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, channel="general", instance_id="ann", timeout_seconds=30)
    decide(owner_of(alice), moderation.pause)
    answer = answered(waited)
    assert contents(answer)[0].startswith("Ada Jones paused #general.")
    assert '"system" (the system)' in (answer.text or "")


def test_people_write_in_a_paused_channel_if_they_may_pause_it(alice: Caller) -> None:
    ada = owner_of(alice)
    decide(ada, moderation.pause)
    people.post(me(ada), channel="general", content="x", passes_pause=True)
    with pytest.raises(CrossWireError) as refusal:
        people.post(me(ada), channel="general", content="x")
    assert refusal.value.code == "paused"


def test_an_archived_channel_leaves_the_lists_and_the_count_until_somebody_writes(call: Surface, alice: Caller) -> None:
    ada = owner_of(alice)
    seed(alice, ["x"], channel="orders")
    change_plan(alice, channels=2)
    decide(ada, moderation.archive, "orders")
    names = {each["name"] for each in call.ok(alice, "list_channels")["channels"]}
    assert names == {"general"}
    assert call(alice, "usage" if not call.is_mcp else "whoami")
    assert call.ok(alice, "create_channel", name="another")["created"]
    call.refused(alice, "send_message", "limit_reached", sender="ann", content="x", channel="orders")
    change_plan(alice, channels=3)
    assert call.ok(alice, "send_message", sender="ann", content="x", channel="orders")["ok"]
    assert channel_of(alice, "orders").archived_at is None


def test_bringing_a_channel_back_obeys_the_plan(alice: Caller) -> None:
    ada = owner_of(alice)
    seed(alice, ["x"], channel="orders")
    decide(ada, moderation.archive, "orders")
    change_plan(alice, channels=1)
    with pytest.raises(CrossWireError) as refusal:
        decide(ada, moderation.unarchive, "orders")
    assert refusal.value.code == "limit_reached"
    assert channel_of(alice, "orders").archived_at is not None


def test_the_same_decision_twice_is_one(alice: Caller) -> None:
    ada = owner_of(alice)
    for _ in range(2):
        decide(ada, moderation.pause)
        decide(ada, moderation.archive)
        decide(ada, moderation.describe, description="what for")
    for _ in range(2):
        decide(ada, moderation.resume)
        decide(ada, moderation.unarchive)
    said = list(Message.objects.filter(workspace=alice.workspace).order_by("number").values_list("content", flat=True))
    assert [text.split()[2] for text in said] == ["paused", "archived", "brought"]  # an archived one is left alone
    actions = AuditEvent.objects.filter(workspace=alice.workspace, action__startswith="channel.").order_by("pk")
    assert list(actions.values_list("action", "actor", "target")) == [
        (f"channel.{what}", ada.user.email, "general")
        for what in ("paused", "archived", "described", "resumed", "unarchived")
    ]


def test_a_description_is_one_line_and_nothing_else_changes(alice: Caller) -> None:
    ada = owner_of(alice)
    decide(ada, moderation.describe, description="<b>what</b> for")
    assert channel_of(alice).description == "<b>what</b> for"
    for wrong in ("a\nb", "x" * 501, " x"):
        with pytest.raises(CrossWireError) as refusal:
            decide(ada, moderation.describe, description=wrong)
        assert refusal.value.code == "invalid_input"
    assert channel_of(alice).description == "<b>what</b> for"


@pytest.mark.parametrize("change", [moderation.pause, moderation.resume, moderation.archive, moderation.unarchive])
def test_strangers_and_viewers_decide_nothing(alice: Caller, mallory: Caller, change: Callable[..., None]) -> None:
    seed(alice, ["x"], channel="hers")
    with pytest.raises(CrossWireError) as absent:
        decide(owner_of(mallory), change, "hers")
    assert absent.value.code == "not_found"
    with pytest.raises(CrossWireError) as refusal:
        decide(make_person(alice.workspace, "viewer"), change, "hers")
    assert refusal.value.code == "read_only_key"
    assert Message.objects.filter(workspace=alice.workspace).count() == 1


def test_the_system_is_no_active_sender(call: Surface, alice: Caller) -> None:
    ada = owner_of(alice)
    people.post(me(ada), channel="general", content="x")
    decide(ada, moderation.pause)
    assert call.ok(alice, "list_channels")["channels"][0]["active_senders"] == "human:Ada Jones"
