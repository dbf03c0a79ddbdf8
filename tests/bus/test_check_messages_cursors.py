"""What a read remembers: `shown_to`, `read_to`, what is pending, and what other answers tell of the unread."""

from __future__ import annotations

from typing import Any

import pytest

from bus.models import Cursor
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import ids, seed
from tests.support.surfaces import Surface

CHECK = "check_messages"


def cursor(caller: Caller, channel: str = "general", instance: str = "ann") -> tuple[int | None, int] | None:
    rows = Cursor.objects.filter(workspace=caller.workspace, channel__name=channel, instance__name=instance)
    return rows.values_list("shown_to", "read_to").first()


@pytest.fixture
def ann(call: Surface, alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    call.ok(alice, "register", instance_id="ann")
    return alice


# --- what moves the two numbers ---------------------------------------------------------------------------------


def test_an_answer_counts_once_a_later_call_names_an_id_of_it(call: Surface, ann: Caller) -> None:
    seed(ann, "abc")
    assert ids(call.ok(ann, CHECK, instance_id="ann", after_id=0)) == [1, 2, 3]
    assert cursor(ann) == (0, 0)
    call.ok(ann, CHECK, instance_id="ann", after_id=2)
    assert cursor(ann) == (2, 2)
    call.ok(ann, CHECK, instance_id="ann", after_id=3)
    assert cursor(ann) == (3, 3)


def test_a_read_that_says_nothing_gets_the_same_again_once_and_marked(call: Surface, ann: Caller) -> None:
    seed(ann, "ab")
    first, second, third = (call.ok(ann, CHECK, instance_id="ann") for _ in range(3))
    assert ids(first) == ids(second) == ids(third) == [1, 2]
    assert ["again" in message for message in first["messages"]] == [False, False]
    assert [message.get("again") for message in second["messages"]] == [True, True]
    assert ["again" in message for message in third["messages"]] == [False, False]
    assert cursor(ann) == (2, 2)


def test_new_messages_beside_repeated_ones_are_not_marked(call: Surface, ann: Caller) -> None:
    seed(ann, "a")
    call.ok(ann, CHECK, instance_id="ann")
    seed(ann, "b")
    answer = call.ok(ann, CHECK, instance_id="ann")
    assert [(message["id"], message.get("again", False)) for message in answer["messages"]] == [(1, True), (2, False)]


@pytest.mark.parametrize("reader", [{}, {"instance_id": "bo"}], ids=["onlooker", "bo"])
def test_what_others_read_moves_nothing_of_mine(call: Surface, ann: Caller, reader: dict[str, Any]) -> None:
    seed(ann, "abc")
    for _ in range(3):
        call.ok(ann, CHECK, **reader)
    assert cursor(ann) is None
    assert call.ok(ann, CHECK, channel="other", instance_id="ann")["unread"] == {"general": 3}


def test_replies_search_and_lists_move_nothing(call: Surface, alice: Caller) -> None:
    worker = alice.with_key("worker")
    call.ok(worker, "register")
    seed(alice, ["one word", "two words"])
    call.ok(worker, "search_messages", query="word")
    call.ok(worker, "get_replies", message_id=1)
    call.ok(worker, "list_channels")
    assert cursor(alice, instance="worker") is None
    assert call.ok(worker, CHECK, channel="other")["unread"] == {"general": 2}


def test_sends_move_nothing_that_was_not_shown(call: Surface, ann: Caller) -> None:
    seed(ann, "ab")
    call.ok(ann, "send_message", sender="ann", content="mine")
    assert cursor(ann) is None
    assert ids(call.ok(ann, "inbox", instance_id="ann")) == [1, 2]


def test_the_numbers_never_go_back(call: Surface, ann: Caller) -> None:
    seed(ann, "abcd")
    call.ok(ann, CHECK, instance_id="ann", after_id=0)
    call.ok(ann, CHECK, instance_id="ann", after_id=4)
    assert ids(call.ok(ann, CHECK, instance_id="ann", after_id=1, limit=1)) == [2]
    call.ok(ann, CHECK, instance_id="ann", after_id=2, limit=1)
    call.ok(ann, "ack_inbox" if not call.is_mcp else "inbox", instance_id="ann", **_ack(call, "general", 1))
    assert cursor(ann) == (4, 4)


def _ack(call: Surface, channel: str, up_to: int) -> dict[str, Any]:
    return {"ack": {channel: up_to}} if call.is_mcp else {"channel": channel, "up_to": up_to}


# --- the newest 20 ----------------------------------------------------------------------------------------------


def test_reading_the_newest_leaves_older_unread_ones_unread_and_names_the_call_for_them(
    call: Surface, ann: Caller
) -> None:
    seed(ann, map(str, range(25)))
    newest = call.ok(ann, CHECK, instance_id="ann")
    assert ids(newest) == list(range(6, 26))
    assert newest["older"] is True
    assert newest["fetch"] == 'check_messages(channel="general", instance_id="ann", after_id=0)'
    if call.is_mcp:
        assert newest.text is not None
        assert newest["fetch"] in newest.text
        assert newest["fetch"] in newest["next"]
    assert call.ok(ann, CHECK, instance_id="ann", after_id=25)["messages"] == []
    assert cursor(ann) == (25, 0)
    assert call.ok(ann, CHECK, channel="other", instance_id="ann")["unread"] == {"general": 25}
    fetched = call.ok(ann, CHECK, instance_id="ann", after_id=0, limit=25)
    assert ids(fetched) == list(range(1, 26))
    call.ok(ann, CHECK, instance_id="ann", after_id=25)
    assert cursor(ann) == (25, 25)
    assert "unread" not in call.ok(ann, CHECK, channel="other", instance_id="ann")


def test_what_was_left_out_can_be_fetched_at_once(call: Surface, ann: Caller) -> None:
    seed(ann, map(str, range(25)))
    call.ok(ann, CHECK, instance_id="ann")
    fetched = call.ok(ann, CHECK, instance_id="ann", after_id=0, limit=5)
    assert (ids(fetched), fetched["has_more"]) == ([1, 2, 3, 4, 5], True)
    rest = call.ok(ann, CHECK, instance_id="ann", after_id=5, limit=200)
    assert [message["id"] for message in rest["messages"] if "again" in message] == list(range(6, 26))
    call.ok(ann, CHECK, instance_id="ann", after_id=25)
    assert cursor(ann) == (25, 25)


def test_older_messages_that_were_read_need_no_fetching(call: Surface, ann: Caller) -> None:
    seed(ann, map(str, range(25)))
    call.ok(ann, CHECK, instance_id="ann", after_id=0, limit=200)
    call.ok(ann, CHECK, instance_id="ann", after_id=25)
    seed(ann, "x")
    answer = call.ok(ann, CHECK, instance_id="ann")
    assert ids(answer) == list(range(7, 27))
    assert answer["older"] is True
    assert "fetch" not in answer
    call.ok(ann, CHECK, instance_id="ann", after_id=26)
    assert cursor(ann) == (26, 26)


def test_a_read_above_the_unread_leaves_read_to(call: Surface, ann: Caller) -> None:
    seed(ann, "abcdef")
    assert ids(call.ok(ann, CHECK, instance_id="ann", after_id=4)) == [5, 6]
    call.ok(ann, CHECK, instance_id="ann", after_id=6)
    assert cursor(ann) == (6, 0)
    assert ids(call.ok(ann, "inbox", instance_id="ann")) == [1, 2, 3, 4, 5, 6]


# --- where a read starts ----------------------------------------------------------------------------------------


def test_messages_that_cross_are_both_seen(call: Surface, ann: Caller) -> None:
    seed(ann, "a")
    call.ok(ann, CHECK, instance_id="ann", after_id=0)
    call.ok(ann, CHECK, instance_id="ann", after_id=1)
    seed(ann, "b")
    mine = call.ok(ann, "send_message", sender="ann", content="c")["id"]
    assert ids(call.ok(ann, CHECK, instance_id="ann", after_id=mine)) == [2]


def test_an_instance_that_was_shown_nothing_is_taken_at_its_word(call: Surface, ann: Caller) -> None:
    seed(ann, "abcde")
    assert ids(call.ok(ann, CHECK, instance_id="ann", after_id=3)) == [4, 5]


def test_an_after_id_at_or_below_what_was_shown_gives_again_what_follows(call: Surface, ann: Caller) -> None:
    seed(ann, "abcde")
    call.ok(ann, CHECK, instance_id="ann", after_id=0)
    call.ok(ann, CHECK, instance_id="ann", after_id=5)
    for after_id in (0, 2, 4, 5):
        assert ids(call.ok(ann, CHECK, instance_id="ann", after_id=after_id)) == list(range(after_id + 1, 6))


def test_each_channel_has_numbers_of_its_own(call: Surface, ann: Caller) -> None:
    seed(ann, "ab", channel="one")
    seed(ann, "cd", channel="two")
    call.ok(ann, CHECK, channel="two", instance_id="ann", after_id=0)
    call.ok(ann, CHECK, channel="two", instance_id="ann", after_id=4)
    assert (cursor(ann, "one"), cursor(ann, "two")) == (None, (4, 4))
    assert ids(call.ok(ann, CHECK, channel="one", instance_id="ann", after_id=4)) == []
    assert ids(call.ok(ann, CHECK, channel="one", instance_id="ann", after_id=0)) == [1, 2]


# --- what is unread ---------------------------------------------------------------------------------------------


def test_what_was_there_before_an_instance_came_is_history(call: Surface, alice: Caller) -> None:
    seed(alice, "abc")
    seed(alice, "de", channel="news")
    first = call.ok(alice, CHECK, channel="empty", instance_id="ann")
    assert "unread" not in first
    seed(alice, "f", channel="news")
    seed(alice, "gh", channel="brand-new")
    assert call.ok(alice, CHECK, instance_id="ann", after_id=3)["unread"] == {"brand-new": 2, "news": 1}
    assert ids(call.ok(alice, "inbox", instance_id="ann")) == [6, 7, 8]


def test_own_messages_are_never_unread(call: Surface, ann: Caller) -> None:
    seed(ann, "abc", sender="ann", channel="one")
    seed(ann, "d", sender="bo", channel="two")
    seed(ann, "e", sender="ann", channel="two")
    assert call.ok(ann, CHECK, instance_id="ann")["unread"] == {"two": 1}


def test_more_than_99_unread_are_told_as_100_and_five_channels_at_most(call: Surface, ann: Caller) -> None:
    seed(ann, map(str, range(150)), channel="c0")
    seed(ann, map(str, range(99)), channel="c1")
    newest = {f"c{number}": seed(ann, "x", channel=f"c{number}")[0] for number in range(2, 7)}
    answer = call.ok(ann, CHECK, instance_id="ann")
    assert answer["unread"] == {f"c{number}": 1 for number in (6, 5, 4, 3, 2)}
    for channel, number in newest.items():
        call.ok(ann, CHECK, channel=channel, instance_id="ann", after_id=0)
        call.ok(ann, CHECK, channel=channel, instance_id="ann", after_id=number)
    told = call.ok(ann, CHECK, instance_id="ann")
    assert told["unread"] == {"c0": 100, "c1": 99}
    if call.is_mcp:
        assert told.text is not None
        assert "99+ in #c0" in told.text
        assert "99 in #c1" in told.text


def test_the_channel_that_is_read_is_not_told_as_unread_elsewhere(call: Surface, ann: Caller) -> None:
    seed(ann, "ab")
    seed(ann, "c", channel="news")
    assert call.ok(ann, CHECK, instance_id="ann")["unread"] == {"news": 1}
    assert call.ok(ann, CHECK, instance_id="ann", after_id=2)["unread"] == {"news": 1}


def test_onlookers_are_told_of_nothing_unread(call: Surface, ann: Caller) -> None:
    seed(ann, "a", channel="news")
    assert "unread" not in call.ok(ann, CHECK)
    assert "unread" not in call.ok(ann.with_key(read_only=True), CHECK, instance_id="ann")


def test_what_came_while_an_instance_was_away_is_unread(call: Surface, ann: Caller, clock: Clock) -> None:
    clock.forward(hours=30)
    seed(ann, "a")
    call.ok(ann, "unregister", instance_id="ann")
    seed(ann, "b")
    clock.forward(days=20)
    assert call.ok(ann, "register", instance_id="ann")["unread"] == {"general": 2}
    assert ids(call.ok(ann, "inbox", instance_id="ann")) == [1, 2]
