"""Every answer to an instance tells what it has not read and this answer does not hold, five channels at most."""

from __future__ import annotations

from typing import Any

import pytest

from bus import conversing
from bus.operations import OPERATIONS
from tests.bus.waiters import answered, begin, end_by_time
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import ids, seed
from tests.support.surfaces import MCP, SURFACES, Result, Surface

CALLS: dict[str, dict[str, Any]] = {
    "register": {},
    "send_message": {"content": "x"},
    "check_messages": {},
    "wait_for_reply": {"timeout_seconds": 0, "persistent": False},
    "claim_message": {"message_id": 1},
    "ack_inbox": {"channel": "general", "up_to": 1},
    "share_data": {"key": "k", "content": "x"},
    "subscribe": {"channel": "general"},
    "unsubscribe": {"channel": "general"},
    "list_instances": {},
    "create_channel": {"name": "general"},
    "list_channels": {},
    "find_channel": {"query": "gen"},
    "get_replies": {"message_id": 1},
    "message_status": {"message_id": 1},
    "search_messages": {"query": "history"},
    "list_shared_data": {},
    "get_shared_data": {"key": "notes"},
    "delete_shared_data": {"key": "notes"},
    "whoami": {},
    "usage": {},
}
"""What each operation is given besides who calls."""
OTHERWISE = {"unregister": "its instance leaves", "inbox": "holds what is unread; tested below"}
OFFERED = [
    (surface, name, is_bound)
    for surface in SURFACES
    for name in CALLS
    if (OPERATIONS[name].is_tool if surface in MCP else OPERATIONS[name].http)
    for is_bound in (True, False)
    if is_bound or OPERATIONS[name].instance
]
"""By a key that is bound to the instance, whose every call is that instance's, and by one that names it."""
UNREAD = {"c6": 1, "c5": 1, "c4": 1, "c3": 1, "c2": 100}


def not_reading(call: Surface, alice: Caller, *, is_bound: bool = False) -> Caller:
    """Have `ann` come after some history and then not read seven channels, one of them very full; return its caller."""
    call.ok(alice, "send_message", sender="boss", content="history", message_type="request")
    call.ok(alice, "share_data", sender="boss", key="notes", content="x")
    ann = alice.with_key("ann") if is_bound else alice
    call.ok(ann, "register", instance_id="ann")
    for number in range(7):
        seed(alice, ["x"] * (1 if number != 2 else 120), sender="boss", channel=f"c{number}")
    return ann


def assert_told(answer: Result, told: dict[str, int]) -> None:
    assert answer["unread"] == told
    if answer.text is not None:
        line = ", ".join(f"{'99+' if count > 99 else count} in #{channel}" for channel, count in told.items())
        assert answer.text.count(f"Unread: {line}.") == 1, answer.text


def test_every_operation_tells_it_or_has_a_reason_not_to() -> None:
    assert {*CALLS, *OTHERWISE} == set(OPERATIONS)


@pytest.mark.parametrize(("call", "operation", "is_bound"), OFFERED, indirect=["call"])
def test_an_answer_to_an_instance_tells_what_it_has_not_read(
    call: Surface, alice: Caller, operation: str, *, is_bound: bool
) -> None:
    ann = not_reading(call, alice, is_bound=is_bound)
    naming = OPERATIONS[operation].instance
    who = {naming: "ann"} if naming and not is_bound else {}
    assert_told(call.ok(ann, operation, **CALLS[operation], **who), UNREAD)


def test_an_answer_to_nobody_tells_nothing(call: Surface, alice: Caller) -> None:
    not_reading(call, alice)
    reader = alice.with_key("ann", read_only=True)
    for caller, operation in ((alice, "list_channels"), (alice, "whoami"), (reader, "whoami")):
        assert "unread" not in call.ok(caller, operation)


def test_an_inbox_tells_what_it_left(call: Surface, alice: Caller) -> None:
    not_reading(call, alice)
    answer = call.ok(alice, "inbox", instance_id="ann", limit=2)
    assert answer["unread"] == {"c2": 100, "c3": 1, "c4": 1, "c5": 1, "c6": 1}


# --- in the channel that was asked for --------------------------------------------------------------------------


def test_what_a_read_skipped_is_told_and_fetched_until_it_is_read(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, map(str, range(30)))
    newest = call.ok(alice, "check_messages", instance_id="ann")
    fetch = 'check_messages(channel="general", instance_id="ann", after_id=0)'
    assert (ids(newest), newest["fetch"], newest["unread"]) == (list(range(11, 31)), fetch, {"general": 10})
    (number,) = seed(alice, ["31"])
    for after_id, held, left in ((30, [number], 30), (number, [], 31)):
        answer = call.ok(alice, "check_messages", instance_id="ann", after_id=after_id)
        assert (ids(answer), answer["fetch"], answer["unread"]) == (held, fetch, {"general": left})
    whole = call.ok(alice, "check_messages", instance_id="ann", after_id=0, limit=200)
    assert ids(whole) == list(range(1, 32))
    assert "unread" not in whole
    assert "unread" not in call.ok(alice, "check_messages", instance_id="ann", after_id=number)


@pytest.mark.parametrize("call", MCP, indirect=True)
def test_a_wait_tells_what_was_skipped_where_it_waits(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, map(str, range(30)))
    call.ok(alice, "check_messages", instance_id="ann")
    idle = call.ok(alice, "wait_for_reply", instance_id="ann", after_id=30, timeout_seconds=0, persistent=False)
    assert (ids(idle), idle["unread"]) == ([], {"general": 30})
    seed(alice, ["31"])
    woken = call.ok(alice, "wait_for_reply", instance_id="ann", after_id=30)
    assert (ids(woken), woken["unread"]) == ([31], {"general": 30})
    assert woken["fetch"] == 'check_messages(channel="general", instance_id="ann", after_id=0)'


def test_what_comes_after_a_short_answer_is_told_by_has_more_alone(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, "abc")
    answer = call.ok(alice, "check_messages", instance_id="ann", after_id=0, limit=1)
    assert (ids(answer), answer["has_more"]) == ([1], True)
    assert "unread" not in answer


# --- at the end of a wait ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", MCP, indirect=True)
def test_a_long_wait_that_ends_without_an_answer_tells_what_came_elsewhere_meanwhile(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversing, "STALE_SECONDS", 0.0)
    call.ok(alice, "register", instance_id="ann")
    waiting = begin(call, alice, instance_id="ann", channel="plans")
    seed(alice, ["x"], channel="other")
    end_by_time(alice)
    answer = answered(waiting)
    assert (answer["ended"], answer["unread"]) == ("time", {"other": 1})


@pytest.mark.parametrize("call", MCP, indirect=True)
@pytest.mark.parametrize(("operation", "asked"), [("wait_for_reply", {}), ("inbox", {"wait": 40})])
def test_who_has_waited_for_long_in_vain_was_there_to_the_end(
    call: Surface, alice: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch, operation: str, asked: dict[str, Any]
) -> None:
    monkeypatch.setattr(conversing, "STALE_SECONDS", 0.0)
    waiting = begin(call, alice, operation, instance_id="ann", **asked)
    clock.forward(minutes=4)
    end_by_time(alice)
    assert answered(waiting)["ended"] == "time"
    (shown,) = call.ok(alice, "list_instances")["instances"]
    assert (shown["status"], shown["wake"]) == ("online", "poll")
