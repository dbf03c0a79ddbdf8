"""`wait_for_reply`: what wakes it and what it answers. How it ends without a message is in test_wait_ends.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bus.models import Cursor
from bus.services import waits
from tests.bus.waiters import WAIT, answered, begin, open_waits, present, unheard, until
from tests.support.cast import Caller
from tests.support.messages import contents, ids, seed
from tests.support.surfaces import MCP, Surface, SurfaceName

pytestmark = pytest.mark.parametrize("call", MCP, indirect=True)


@pytest.fixture
def ann(call: Surface, alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    call.ok(alice, "register", instance_id="ann")
    return alice


@pytest.mark.parametrize("sender", ["lane", "drf", *MCP])
def test_a_message_from_any_surface_ends_the_wait(
    call: Surface, surface: Callable[[SurfaceName], Surface], ann: Caller, bob: Caller, sender: SurfaceName
) -> None:
    waited = begin(call, ann, instance_id="ann")
    sent = surface(sender).ok(bob, "send_message", sender="bo", content="hello", message_type="request")
    answer = answered(waited)
    assert (answer["ended"], answer["channel"], answer["has_more"]) == ("message", "general", False)
    assert (ids(answer), contents(answer)) == ([sent["id"]], ["hello"])
    assert (answer["last_id"], answer["resume_after_id"]) == (sent["id"], sent["id"])
    assert answer["messages"][0]["message_type"] == "request"
    assert answer.text is not None
    assert "1 new message(s) in #general" in answer.text
    assert f"Last message ID: {sent['id']}" in answer.text
    assert f"wait_for_reply(after_id={sent['id']})" in answer["next"]
    assert open_waits(ann) == []


def test_own_messages_wake_nobody(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, instance_id="ann")
    seed(ann, ["mine", "mine too"], sender="ann")
    (theirs,) = seed(ann, ["theirs"])
    assert ids(answered(waited)) == [theirs]


def test_messages_elsewhere_wake_nobody(call: Surface, ann: Caller, mallory: Caller) -> None:
    waited = begin(call, ann, instance_id="ann")
    seed(ann, ["elsewhere"], channel="other")
    seed(mallory, ["another workspace's"])
    (here,) = seed(ann, ["here"])
    answer = answered(waited)
    assert ids(answer) == [here]
    assert answer["unread"] == {"other": 1}


@pytest.mark.parametrize("after_id", [None, 0, 1])
def test_what_is_there_already_is_answered_at_once(call: Surface, ann: Caller, after_id: int | None) -> None:
    seed(ann, ["one", "two"])
    answer = call.ok(ann, WAIT, instance_id="ann", after_id=after_id)
    assert answer["ended"] == "message"
    assert ids(answer) == ([1, 2] if after_id != 1 else [2])


def test_the_name_of_the_channel_is_made_regular(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, instance_id="ann", channel="My_Team ")
    seed(ann, ["x"], channel="my-team")
    assert answered(waited)["channel"] == "my-team"


def test_a_channel_that_is_not_there_yet_can_be_waited_for_and_is_not_made(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, instance_id="ann", channel="to-come")
    assert [channel["name"] for channel in call.ok(ann, "list_channels")["channels"]] == ["general"]
    seed(ann, ["x"])
    (first,) = seed(ann, ["y"], channel="to-come")
    assert ids(answered(waited)) == [first]


def test_a_burst_comes_together(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, instance_id="ann")
    burst = seed(ann, map(str, range(30)))
    answer = answered(waited)
    assert (ids(answer), answer["has_more"]) == (burst, False)


def test_what_exceeds_one_answer_is_left_for_the_next(call: Surface, ann: Caller) -> None:
    backlog = seed(ann, map(str, range(waits.WAITED_LIMIT + 5)))
    first = call.ok(ann, WAIT, instance_id="ann")
    assert (ids(first), first["has_more"]) == (backlog[: waits.WAITED_LIMIT], True)
    assert "There is more" in first["next"]
    second = call.ok(ann, WAIT, instance_id="ann", after_id=first["last_id"])
    assert (ids(second), second["has_more"]) == (backlog[waits.WAITED_LIMIT :], False)


def test_messages_that_cross_are_both_seen(call: Surface, ann: Caller) -> None:
    seed(ann, ["begin"])
    call.ok(ann, WAIT, instance_id="ann")
    (theirs,) = seed(ann, ["theirs"])
    mine = call.ok(ann, "send_message", sender="ann", content="mine")["id"]
    assert theirs < mine
    assert ids(call.ok(ann, WAIT, instance_id="ann", after_id=mine)) == [theirs]


def test_a_read_beside_the_wait_hides_nothing_from_it(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, instance_id="ann")
    with unheard():
        (number,) = seed(ann, ["x"])
        assert ids(call.ok(ann, "check_messages", instance_id="ann")) == [number]
        call.ok(ann, "check_messages", instance_id="ann", after_id=number)
    for waiter in present(ann):
        waiter.wake()
    assert ids(answered(waited)) == [number]


def test_what_a_newest_read_skipped_ends_no_wait_and_stays_unread(call: Surface, ann: Caller) -> None:
    seed(ann, map(str, range(25)))
    call.ok(ann, "check_messages", instance_id="ann")
    waited = begin(call, ann, instance_id="ann", after_id=25)
    (new,) = seed(ann, ["new"])
    assert ids(answered(waited)) == [new]
    assert ids(call.ok(ann, "inbox", instance_id="ann", limit=200)) == list(range(1, 27))


def test_done_ends_the_wait_and_says_so(call: Surface, ann: Caller, bob: Caller) -> None:
    waited = begin(call, ann, instance_id="ann")
    call.ok(bob, "send_message", sender="bo", content="that was all", message_type="done")
    answer = answered(waited)
    assert answer["ended"] == "done"
    assert answer.text is not None
    assert '"bo" signaled DONE' in answer.text
    assert "TO KEEP LISTENING" not in answer.text
    assert "Do not wait again" in answer["next"]


def test_ones_own_done_ends_nothing(call: Surface, ann: Caller) -> None:
    call.ok(ann, "send_message", sender="ann", content="bye", message_type="done")
    waited = begin(call, ann, instance_id="ann", after_id=0)
    seed(ann, ["x"])
    assert answered(waited)["ended"] == "message"


# --- what an answer moves ---------------------------------------------------------------------------------------


def numbers(caller: Caller) -> tuple[int | None, int] | None:
    return Cursor.objects.filter(workspace=caller.workspace).values_list("shown_to", "read_to").first()


def test_going_on_waiting_counts_what_came_as_read(call: Surface, ann: Caller) -> None:
    for expected in (1, 2, 3):
        seed(ann, ["x"])
        answer = call.ok(ann, WAIT, instance_id="ann", after_id=expected - 1)
        assert (ids(answer), "again" in answer["messages"][0]) == ([expected], False)
    call.ok(ann, WAIT, instance_id="ann", after_id=3, timeout_seconds=0, persistent=False)
    assert numbers(ann) == (3, 3)
    assert call.ok(ann, "inbox", instance_id="ann")["messages"] == []


def test_a_wait_that_says_nothing_gets_the_same_again_once_and_marked(call: Surface, ann: Caller) -> None:
    seed(ann, ["x"])
    first, second = (call.ok(ann, WAIT, instance_id="ann") for _ in range(2))
    assert ids(first) == ids(second) == [1]
    assert [message.get("again", False) for message in (*first["messages"], *second["messages"])] == [False, True]
    third = call.ok(ann, WAIT, instance_id="ann", timeout_seconds=0, persistent=False)
    assert third["messages"] == []
    assert numbers(ann) == (1, 1)


def test_a_reply_after_the_wait_counts_what_came_as_read(call: Surface, ann: Caller) -> None:
    seed(ann, ["x"])
    call.ok(ann, WAIT, instance_id="ann")
    assert numbers(ann) == (0, 0)
    sent = call.ok(ann, "send_message", sender="ann", content="y", in_reply_to=1)
    assert (sent["last_shown"], numbers(ann)) == (1, (1, 1))


def test_an_answer_that_a_call_ran_beside_is_confirmed_by_its_id_alone(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, instance_id="ann")
    call.ok(ann, "send_message", sender="ann", content="beside")
    (number,) = seed(ann, ["x"])
    answered(waited)
    until(lambda: Cursor.objects.get(workspace=ann.workspace).pending_how == "strict", "the answer is not strict")
    call.ok(ann, "send_message", sender="ann", content="later")
    call.ok(ann, "send_message", sender="ann", content="a reply", in_reply_to=number)
    assert numbers(ann) == (0, 0)
    call.ok(ann, "check_messages", instance_id="ann", after_id=number)
    assert numbers(ann) == (number, number)
