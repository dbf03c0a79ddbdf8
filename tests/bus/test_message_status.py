from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bus import fates
from bus.models import Channel, HandOut, Instance
from crosswire.lib import clock as product_clock
from tests.bus.test_get_replies import reply
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import TIME, change_plan, data_of, seed, stored
from tests.support.surfaces import Surface

STATUS = "message_status"


def handed(call: Surface, caller: Caller, number: int, channel: str = "general") -> list[str]:
    """Return who was handed a message, first ones first."""
    answer = call.ok(caller, STATUS, message_id=number, channel=channel)
    return [each["instance_id"] for each in answer["handed"]]


def register(call: Surface, caller: Caller, *names: str) -> None:
    for name in names:
        call.ok(caller, "register", instance_id=name)


def test_a_message_nobody_has_seen_was_accepted_and_no_more(call: Surface, alice: Caller) -> None:
    call.ok(alice, "send_message", sender="ann", content="x", message_type="request", channel="plans")
    answer = call.ok(alice, STATUS, message_id=1, channel="plans")
    assert TIME.fullmatch(answer["accepted"])
    assert answer.data == {
        "id": 1,
        "channel": "plans",
        "sender": "ann",
        "message_type": "request",
        "accepted": answer["accepted"],
        "handed": [],
        "answered": [],
        "claimed": None,
        "has_more": False,
    }
    assert "delivered" not in str(answer.raw)
    if call.is_mcp:
        assert answer.text is not None
        assert answer.text.splitlines() == [
            f'Message #1 in #plans by "ann" [request]: accepted {answer["accepted"]}.',
            "Handed to nobody yet.",
            "Not answered yet.",
            "Claimed by nobody.",
        ]


def test_who_was_handed_it_who_answered_and_who_has_claimed_it_are_told_in_order(
    call: Surface, alice: Caller, clock: Clock
) -> None:
    register(call, alice, "bo", "cy", "di")
    call.ok(alice, "send_message", sender="ann", content="x", message_type="handoff")
    times = []
    for name, operation in (("cy", "check_messages"), ("bo", "inbox")):
        clock.forward(seconds=10)
        times.append(clock.now())
        call.ok(alice, operation, instance_id=name)
        clock.forward(seconds=10)
        call.ok(alice, operation, instance_id=name)
    reply(alice, 1, ["yes"], sender="cy")
    reply(alice, 1, ["no", "maybe"], sender="bo")
    until = call.ok(alice, "claim_message", message_id=1, instance_id="di")["until"]
    answer = call.ok(alice, STATUS, message_id=1)
    assert [each["instance_id"] for each in answer["handed"]] == ["cy", "bo"]
    for each, at in zip(answer["handed"], times, strict=True):
        assert product_clock.iso(at) <= each["at"] <= product_clock.iso(at + timedelta(seconds=9)), "the first time"
    assert [(each["by"], each["id"]) for each in answer["answered"]] == [("cy", 2), ("bo", 3), ("bo", 4)]
    assert all(TIME.fullmatch(each["at"]) for each in answer["answered"])
    assert answer["claimed"] == {"by": "di", "until": until}
    if call.is_mcp:
        assert answer.text is not None
        assert 'Handed to "cy" first at' in answer.text
        assert 'Answered by "bo" with #3 at' in answer.text
        assert f'Claimed by "di" until {until}.' in answer.text


def test_what_an_answer_left_out_was_not_handed(call: Surface, alice: Caller) -> None:
    register(call, alice, "bo", "cy", "di")
    seed(alice, map(str, range(4)), channel="other")
    first, *rest = seed(alice, map(str, range(9)))
    call.ok(alice, "check_messages", instance_id="bo", limit=3)  # the newest three
    call.ok(alice, "check_messages", instance_id="cy", limit=3, after_id=first)  # three after the first
    call.ok(alice, "inbox", instance_id="di", limit=6)  # the oldest six: four of the other channel, two here
    assert {number: handed(call, alice, number) for number in (first, *rest)} == {
        first: ["di"],
        rest[0]: ["cy", "di"],
        rest[1]: ["cy"],
        rest[2]: ["cy"],
        rest[3]: [],
        rest[4]: [],
        rest[5]: ["bo"],
        rest[6]: ["bo"],
        rest[7]: ["bo"],
    }
    assert handed(call, alice, 4, "other") == ["di"]


def test_nobody_is_handed_its_own_message(call: Surface, alice: Caller) -> None:
    register(call, alice, "bo")
    seed(alice, ["a"], sender="cy")
    (own,) = seed(alice, ["b"], sender="bo")
    seed(alice, ["c"], sender="cy")
    call.ok(alice, "check_messages", instance_id="bo")
    assert handed(call, alice, own - 1) == handed(call, alice, own + 1) == ["bo"]
    assert handed(call, alice, own) == []


def test_reading_as_nobody_searching_and_read_only_keys_leave_no_receipt(call: Surface, alice: Caller) -> None:
    seed(alice, ["needle"])
    reader = alice.with_key(read_only=True)
    call.ok(alice, "check_messages")
    call.ok(alice, "get_replies", message_id=1)
    call.ok(alice, "search_messages", query="needle")
    call.ok(reader, "check_messages", instance_id="bo")
    before = stored(alice)
    answer = call.ok(reader, STATUS, message_id=1)
    assert (answer["handed"], answer["id"]) == ([], 1)
    assert stored(alice) == before


# --- what is not there ------------------------------------------------------------------------------------------


def test_a_message_of_another_channel_or_workspace_is_not_found(call: Surface, alice: Caller, mallory: Caller) -> None:
    seed(alice, ["x"], channel="team-room")
    assert call.ok(alice, STATUS, message_id=1, channel="Team Room")["id"] == 1
    for caller, channel in ((alice, "general"), (alice, "no-such"), (mallory, "team-room")):
        refusal = call.refused(caller, STATUS, "not_found", message_id=1, channel=channel)
        assert refusal.status in (404, None)
    for number in (0, 2, 2**63 - 1):
        call.refused(alice, STATUS, "not_found", message_id=number, channel="team-room")


@pytest.mark.parametrize("wrong", [{"message_id": "x"}, {"message_id": -1}, {"channel": "!!!"}, {"limit": 1}], ids=str)
def test_what_does_not_fit_is_refused_by_name(call: Surface, alice: Caller, wrong: dict[str, Any]) -> None:
    refusal = call.refused(alice, STATUS, "invalid_input", **{"message_id": 1} | wrong)
    named = next(iter(wrong))
    assert re.search(rf"\b{'id' if named == 'message_id' and not call.is_mcp else named}\b", refusal.message)


def test_what_has_expired_has_no_receipts_and_is_in_none(call: Surface, alice: Caller, clock: Clock) -> None:
    change_plan(alice, retention_days=10)
    alice = alice.with_key()
    seed(alice, ["question"])
    clock.forward(days=9)
    register(call, alice, "bo")
    seed(alice, ["late"])
    call.ok(alice, "check_messages", instance_id="bo", after_id=0)
    assert handed(call, alice, 1) == ["bo"]
    clock.forward(days=2)
    call.refused(alice, STATUS, "not_found", message_id=1)
    assert handed(call, alice, 2) == ["bo"]


# --- bounds -----------------------------------------------------------------------------------------------------


def test_each_list_holds_a_hundred_and_says_that_there_is_more(call: Surface, alice: Caller) -> None:
    (number,) = seed(alice, ["question"])
    reply(alice, number, ["x"] * 101)
    assert len(call.ok(alice, STATUS, message_id=number)["answered"]) == 100
    assert call.ok(alice, STATUS, message_id=number)["has_more"] is True
    (other,) = seed(alice, ["another"], channel="other")
    give(alice, "other", other, 100)
    assert call.ok(alice, STATUS, message_id=other, channel="other")["has_more"] is False
    give(alice, "other", other, 101)
    answer = call.ok(alice, STATUS, message_id=other, channel="other")
    assert (len(answer["handed"]), answer["has_more"]) == (100, True)


def give(caller: Caller, channel: str, number: int, count: int) -> None:
    """Have so many instances be handed a message."""
    own = {"workspace": caller.workspace}
    row = Channel.objects.get(name=channel, **own)
    names = [f"reader-{index}" for index in range(count)]
    Instance.objects.bulk_create([Instance(name=name, **own) for name in names], ignore_conflicts=True)
    HandOut.objects.bulk_create(
        HandOut(channel=row, instance=instance, from_number=number, to_number=number, **own)
        for instance in Instance.objects.filter(name__in=names, **own)
    )


def test_who_asks_for_the_newest_again_and_again_leaves_one_row(call: Surface, alice: Caller) -> None:
    register(call, alice, "bo")
    seed(alice, "ab")
    for _ in range(5):
        call.ok(alice, "check_messages", instance_id="bo")
    rows = HandOut.objects.filter(workspace=alice.workspace)
    assert list(rows.values_list("from_number", "to_number")) == [(1, 2)]


@pytest.mark.parametrize("call", ["lane"], indirect=True)
def test_answers_that_went_far_past_a_message_are_not_looked_at(call: Surface, alice: Caller) -> None:
    """An answer holds 200 messages of others, so one that ends beyond the bound cannot have begun so early."""
    (number,) = seed(alice, ["question"])
    last = seed(alice, map(str, range(fates._FOLLOWING + 1)))[-1]
    give(alice, "general", number, 2)
    HandOut.objects.filter(workspace=alice.workspace, instance__name="reader-0").update(to_number=last - 1)
    assert set(handed(call, alice, number)) == {"reader-0", "reader-1"}
    HandOut.objects.filter(workspace=alice.workspace, instance__name="reader-0").update(to_number=last)
    assert handed(call, alice, number) == ["reader-1"]


def test_receipts_are_few_statements(call: Surface, alice: Caller, statements: Callable[..., Any]) -> None:
    register(call, alice, "bo", "cy")
    seed(alice, ["question"])
    for name in ("bo", "cy"):
        call.ok(alice, "check_messages", instance_id=name)
    reply(alice, 1, ["x"] * 5)
    call.ok(alice, STATUS, message_id=1)
    with statements() as ran:
        assert data_of(call.ok(alice, STATUS, message_id=1))["has_more"] is False
    assert len([each for each in ran if "bus_" in each]) <= 5, str(ran)
