"""`inbox`, and `ack_inbox`, which on MCP is its argument `ack`."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bus.models import Cursor, HandOut
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import TIME, contents, data_of, ids, seed, stored
from tests.support.surfaces import Refusal, Result, Surface

INBOX = "inbox"


@pytest.fixture
def ann(call: Surface, alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    call.ok(alice, "register", instance_id="ann")
    return alice


def ack(call: Surface, caller: Caller, channel: str, up_to: Any, name: str | None = "ann") -> Result | Refusal:
    """Acknowledge, in the way the surface has."""
    if call.is_mcp:
        return call(caller, INBOX, instance_id=name, ack={channel: up_to})
    return call(caller, "ack_inbox", instance_id=name, channel=channel, up_to=up_to)


def acknowledged(call: Surface, caller: Caller, channel: str, up_to: Any, name: str | None = "ann") -> None:
    answer = ack(call, caller, channel, up_to, name)
    assert isinstance(answer, Result), answer
    if not call.is_mcp:
        assert answer.data.keys() - {"unread"} == {"ok"}


def test_unread_messages_of_all_channels_come_oldest_first_in_their_whole_shape(call: Surface, ann: Caller) -> None:
    seed(ann, ["one"], channel="b", sender="bo")
    seed(ann, ["two"], channel="a", sender="bo")
    seed(ann, ["mine"], channel="b", sender="ann")
    seed(ann, ["three"], channel="b", sender="cy")
    answer = call.ok(ann, INBOX, instance_id="ann")
    data = data_of(answer)
    first = data["messages"][0]
    assert TIME.fullmatch(first.pop("created_at"))
    assert first == {
        "id": 1,
        "channel": "b",
        "sender": "bo",
        "content": "one",
        "message_type": "message",
        "in_reply_to": None,
        "reply_count": 0,
        "verified": False,
        "sender_kind": "agent",
    }
    assert [(each["id"], each["channel"], each["content"]) for each in data["messages"][1:]] == [
        (2, "a", "two"),
        (4, "b", "three"),
    ]
    assert data | {"messages": []} == {"messages": [], "unread": {}, "has_more": False}


def test_nothing_unread_is_an_empty_answer(call: Surface, alice: Caller) -> None:
    seed(alice, "history")
    answer = call.ok(alice, INBOX, instance_id="ann")
    assert answer.data == {"messages": [], "unread": {}, "has_more": False}
    if call.is_mcp:
        assert answer.text is not None
        assert "No new messages" in answer.text


def test_twenty_are_given_and_the_rest_told_by_channel(call: Surface, ann: Caller) -> None:
    seed(ann, map(str, range(15)), channel="a")
    seed(ann, map(str, range(15)), channel="b")
    seed(ann, map(str, range(120)), channel="c")
    answer = call.ok(ann, INBOX, instance_id="ann")
    assert ids(answer) == list(range(1, 21))
    assert (answer["unread"], answer["has_more"]) == ({"b": 10, "c": 100}, True)
    rest = call.ok(ann, INBOX, instance_id="ann", limit=200)
    assert ids(rest) == list(range(1, 151))  # the first 20 again: nothing said that they arrived
    assert [each["id"] for each in rest["messages"] if each.get("again")] == list(range(1, 21))
    assert (rest["unread"], rest["has_more"]) == ({}, False)


def test_a_call_that_says_nothing_gets_the_same_again_once(call: Surface, ann: Caller) -> None:
    seed(ann, "ab")
    assert ids(call.ok(ann, INBOX, instance_id="ann")) == [1, 2]
    seed(ann, "c", channel="other")
    again = call.ok(ann, INBOX, instance_id="ann")
    assert [(each["id"], each.get("again", False)) for each in again["messages"]] == [(1, True), (2, True), (3, False)]
    last = call.ok(ann, INBOX, instance_id="ann")
    assert [(each["id"], each.get("again", False)) for each in last["messages"]] == [(3, True)]
    assert call.ok(ann, INBOX, instance_id="ann")["messages"] == []


def test_an_answer_is_recorded_and_its_cursors_wait_for_a_sign(call: Surface, ann: Caller) -> None:
    seed(ann, "ab", channel="x")
    seed(ann, "c", channel="y")
    call.ok(ann, INBOX, instance_id="ann")
    handed = HandOut.objects.filter(workspace=ann.workspace, instance__name="ann").order_by("from_number")
    assert list(handed.values_list("channel__name", "from_number", "to_number")) == [("x", 1, 2), ("y", 3, 3)]
    cursors = Cursor.objects.filter(workspace=ann.workspace).order_by("channel__name")
    assert list(cursors.values_list("read_to", "pending_read")) == [(0, 2), (0, 3)]


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-3, 1), (2.0, 2), (200, 200), (201, 200), (10**30, 200)])
def test_the_limit_is_brought_into_its_range(call: Surface, ann: Caller, asked: float, given: int) -> None:
    seed(ann, map(str, range(203)))
    assert len(call.ok(ann, INBOX, instance_id="ann", limit=asked)["messages"]) == given


def test_an_answer_is_bounded_in_bytes_over_all_channels(call: Surface, ann: Caller) -> None:
    for number in range(4):
        seed(ann, ["x" * 25_000], channel=f"c{number}")
    answer = call.ok(ann, INBOX, instance_id="ann")
    assert (ids(answer), answer["has_more"]) == ([1, 2], True)
    assert answer["unread"] == {"c2": 1, "c3": 1}
    assert len(orjson.dumps(data_of(answer))) <= 60_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"instance_id": None},
        {"instance_id": " ann"},
        {"instance_id": "a\0b"},
        {"instance_id": "x" * 81},
        {"instance_id": "operator"},
        {"limit": "all"},
        {"limit": 1.5},
        {"limit": True},
        {"channel": "general"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name_and_leaves_nothing(
    call: Surface, alice: Caller, wrong: dict[str, Any]
) -> None:
    before = stored(alice)
    refusal = call.refused(alice, INBOX, "invalid_input", **{"instance_id": "ann"} | wrong)
    assert next(iter(wrong)) in refusal.message
    assert refusal.status in (400, None)
    assert stored(alice) == before


# --- whose inbox ------------------------------------------------------------------------------------------------


def test_an_instance_key_reads_its_own_inbox_alone(call: Surface, alice: Caller) -> None:
    worker = alice.with_key("worker")
    call.ok(worker, "register")
    seed(alice, "a", sender="ann")
    assert ids(call.ok(worker, INBOX)) == [1]
    call.refused(worker, INBOX, "wrong_instance", instance_id="ann")
    call.refused(alice, INBOX, "wrong_instance", instance_id="worker")
    refusal = ack(call, alice, "general", 1, "worker")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "wrong_instance"


def test_a_read_only_key_has_no_inbox(call: Surface, ann: Caller) -> None:
    seed(ann, "a")
    before = stored(ann)
    reader = ann.with_key(read_only=True)
    call.refused(reader, INBOX, "read_only_key", instance_id="ann")
    refusal = ack(call, reader, "general", 1)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "read_only_key"
    assert stored(ann) == before


def test_a_newcomer_takes_a_place_if_one_is_free(call: Surface, make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    for name in ("ann", "bo"):
        call.ok(anna, INBOX, instance_id=name)
    refusal = call.refused(anna, INBOX, "limit_reached", instance_id="cy")
    assert set(refusal.details["places"]) == {"ann", "bo"}
    assert [name for name, _ in stored(anna)["instances"]] == ["ann", "bo"]


def test_another_workspaces_messages_are_not_there(call: Surface, ann: Caller, mallory: Caller) -> None:
    call.ok(mallory, "register", instance_id="ann")
    seed(ann, "abc", channel="secret")
    assert call.ok(mallory, INBOX, instance_id="ann").data == {"messages": [], "unread": {}, "has_more": False}
    refusal = ack(call, mallory, "secret", 1)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "not_found"
    assert ids(call.ok(ann, INBOX, instance_id="ann")) == [1, 2, 3]


# --- acknowledging ----------------------------------------------------------------------------------------------


def test_what_is_acknowledged_does_not_come_again(call: Surface, ann: Caller) -> None:
    seed(ann, "abc", channel="team-room")
    seed(ann, "d")
    call.ok(ann, INBOX, instance_id="ann")
    acknowledged(call, ann, "TEAM_room", 2)
    assert [each for each in ids(call.ok(ann, INBOX, instance_id="ann", limit=200)) if each < 3] == []
    acknowledged(call, ann, "team-room", 3.0)
    acknowledged(call, ann, "general", 4)
    assert call.ok(ann, INBOX, instance_id="ann")["messages"] == []


def test_messages_never_shown_can_be_acknowledged_away(call: Surface, ann: Caller) -> None:
    seed(ann, "abc")
    acknowledged(call, ann, "general", 2)
    assert ids(call.ok(ann, INBOX, instance_id="ann")) == [3]


@pytest.mark.parametrize("up_to", [3, 4, 2**63, 10**40, 1e300])
def test_an_acknowledgement_beyond_the_newest_covers_nothing_that_comes_later(
    call: Surface, ann: Caller, up_to: float
) -> None:
    seed(ann, "abc")
    acknowledged(call, ann, "general", up_to)
    seed(ann, "d")
    assert ids(call.ok(ann, INBOX, instance_id="ann")) == [4]


def test_an_acknowledgement_never_moves_back(call: Surface, ann: Caller) -> None:
    seed(ann, "abc")
    for up_to in (3, 1, 0, -1):
        acknowledged(call, ann, "general", up_to)
    assert call.ok(ann, INBOX, instance_id="ann")["messages"] == []


def test_acknowledging_in_a_channel_that_is_not_there_is_not_found(call: Surface, ann: Caller) -> None:
    before = stored(ann)
    refusal = ack(call, ann, "nowhere", 1)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.status) == ("not_found", None if call.is_mcp else 404)
    assert stored(ann) == before


@pytest.mark.parametrize("up_to", ["all", 1.5, True, None, [1]], ids=str)
def test_an_acknowledgement_needs_a_number(call: Surface, ann: Caller, up_to: Any) -> None:
    refusal = ack(call, ann, "general", up_to)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "invalid_input"
    assert "ack" in refusal.message or "up_to" in refusal.message


# --- retention --------------------------------------------------------------------------------------------------


def test_what_has_expired_is_neither_shown_nor_counted(call: Surface, ann: Caller, clock: Clock) -> None:
    seed(ann, "abc", channel="late")
    clock.forward(days=60)
    seed(ann, "d", channel="early")
    seed(ann, "ef", channel="late")
    clock.forward(days=31)
    answer = call.ok(ann, INBOX, instance_id="ann", limit=1)
    assert (ids(answer), contents(answer)) == ([4], ["d"])
    assert (answer["unread"], answer["has_more"]) == ({"late": 2}, True)
    clock.forward(days=60)
    assert call.ok(ann, INBOX, instance_id="ann").data == {"messages": [], "unread": {}, "has_more": False}
