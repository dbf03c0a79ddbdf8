"""Subscriptions are kept until they are taken back, and their answers promise nothing that a client cannot keep."""

from __future__ import annotations

import pytest

from bus.models import Channel, ChannelSubscription, Instance
from bus.services import subscriptions
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.surfaces import Surface


def stored(caller: Caller) -> list[tuple[str, str]]:
    rows = ChannelSubscription.objects.filter(workspace=caller.workspace).order_by("pk")
    return list(rows.values_list("instance__name", "channel__name"))


@pytest.fixture(autouse=True)
def _rooms(alice: Caller) -> None:
    for name in ("orders", "plan-b"):
        Channel.objects.create(workspace=alice.workspace, name=name)


def test_a_subscription_is_stored_once_however_often_it_is_asked_for(call: Surface, alice: Caller) -> None:
    for name in ("Plan B", "plan-b", "#PLAN_B"):
        answer = call.ok(alice, "subscribe", instance_id="ann", channel=name)
        assert (answer["ok"], answer["channel"], answer["channels"]) == (True, "plan-b", ["plan-b"])
    assert call.ok(alice, "subscribe", instance_id="ann", channel="orders")["channels"] == ["orders", "plan-b"]
    assert stored(alice) == [("ann", "plan-b"), ("ann", "orders")]


def test_it_can_be_taken_back_also_twice(call: Surface, alice: Caller) -> None:
    call.ok(alice, "subscribe", instance_id="ann", channel="orders")
    call.ok(alice, "subscribe", instance_id="bo", channel="orders")
    for _ in range(2):
        answer = call.ok(alice, "unsubscribe", instance_id="ann", channel="orders")
        assert (answer["ok"], answer["channels"]) == (True, [])
    assert stored(alice) == [("bo", "orders")]


def test_it_outlives_the_instances_leaving(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, "subscribe", instance_id="ann", channel="orders")
    call.ok(alice, "unregister", instance_id="ann")
    clock.forward(days=40)
    call.ok(alice, "register", instance_id="ann")
    assert stored(alice) == [("ann", "orders")]


@pytest.mark.parametrize("operation", ["subscribe", "unsubscribe"])
def test_a_channel_that_is_not_there_is_told_and_not_made(call: Surface, alice: Caller, operation: str) -> None:
    refusal = call.refused(alice, operation, "not_found", instance_id="ann", channel="odrers")
    assert "#odrers" in refusal.message
    assert not Channel.objects.filter(workspace=alice.workspace, name="odrers").exists()
    assert not Instance.objects.filter(workspace=alice.workspace, name="ann").exists()


def test_a_strangers_channel_is_not_there(call: Surface, alice: Caller, mallory: Caller) -> None:
    call.refused(mallory, "subscribe", "not_found", instance_id="ann", channel="orders")
    call.ok(mallory, "subscribe", instance_id="ann", channel="general")
    assert stored(alice) == []


def test_an_instance_has_so_many_and_no_more(call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MOST", 2)
    for channel in ("orders", "plan-b", "orders"):
        call.ok(alice, "subscribe", instance_id="ann", channel=channel)
    refusal = call.refused(alice, "subscribe", "limit_reached", instance_id="ann", channel="general")
    assert refusal.details["limit"] == 2
    call.ok(alice, "subscribe", instance_id="bo", channel="general")
    call.ok(alice, "unsubscribe", instance_id="ann", channel="orders")
    call.ok(alice, "subscribe", instance_id="ann", channel="general")


def test_a_newcomer_takes_a_place_as_with_any_call(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    for name in ("one", "two"):
        call.ok(free, "subscribe", instance_id=name, channel="general")
    call.refused(free, "subscribe", "limit_reached", instance_id="three", channel="general")


def test_the_answer_tells_what_is_unread(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, ["x", "y"], channel="orders")
    answer = call.ok(alice, "subscribe", instance_id="ann", channel="plan-b")
    assert answer["unread"] == {"orders": 2}
    if answer.text is not None:
        assert "2 in #orders" in answer.text


def test_the_answer_says_what_this_client_will_hear_and_never_that_it_is_woken(call: Surface, alice: Caller) -> None:
    told = call.ok(alice, "subscribe", instance_id="ann b", channel="orders")["told"]
    match call.name:
        case "lane" | "drf":
            assert "GET /api/events?instance_id=ann%20b" in told
            assert "Nothing else is pushed" in told
        case "mcp-2026-07-28":
            assert "subscriptions/listen on crosswire://inbox/ann%20b" in told
            assert "none has to wake an idle session" in told
        case _:
            assert "Nothing is pushed" in told
            assert "no subscription wakes it" in told
    if call.is_mcp:
        assert "wait_for_reply" in told
        assert "inbox" in told


def test_the_text_names_what_is_subscribed(call: Surface, alice: Caller) -> None:
    texts = [
        call.ok(alice, operation, instance_id="ann", channel="orders").text
        for operation in ("subscribe", "unsubscribe")
    ]
    if call.is_mcp:
        assert "Subscribed to #orders. Subscribed channels: #orders." in str(texts[0])
        assert "No longer subscribed to #orders. Subscribed channels: none, so every one counts." in str(texts[1])
