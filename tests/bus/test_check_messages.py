from __future__ import annotations

from typing import Any

import orjson
import pytest

from bus.models import Channel, Cursor, Instance
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import TIME, change_plan, contents, data_of, ids, seed, stored
from tests.support.surfaces import Surface

CHECK = "check_messages"
BODY_MOST = 60_000


def test_messages_are_answered_oldest_first_in_their_whole_shape(call: Surface, alice: Caller) -> None:
    worker = alice.with_key("worker")
    call.ok(alice, "send_message", sender="ann", content="question", message_type="request", channel="c")
    call.ok(worker, "send_message", content="answer", in_reply_to=1, channel="c")
    answer = call.ok(alice, CHECK, channel="c")
    data = data_of(answer)
    times = [message.pop("created_at") for message in data["messages"]]
    assert all(TIME.fullmatch(time) for time in times)
    assert times == sorted(times)
    common = {"channel": "c", "sender_kind": "agent"}
    assert data == {
        "messages": [
            {
                "id": 1,
                "sender": "ann",
                "content": "question",
                "message_type": "request",
                "in_reply_to": None,
                "reply_count": 1,
                "verified": False,
                **common,
            },
            {
                "id": 2,
                "sender": "worker",
                "content": "answer",
                "message_type": "message",
                "in_reply_to": 1,
                "reply_count": 0,
                "verified": True,
                **common,
            },
        ],
        "last_id": 2,
        "has_more": False,
    }
    if call.is_mcp:
        assert answer.text is not None
        assert "2 message(s) in #c" in answer.text
        assert "Last message ID: 2" in answer.text


def test_without_after_id_the_newest_20_are_given_and_older_ones_told_of(call: Surface, alice: Caller) -> None:
    seed(alice, map(str, range(25)))
    answer = call.ok(alice, CHECK)
    assert ids(answer) == list(range(6, 26))
    assert data_of(answer) | {"messages": []} == {"messages": [], "last_id": 25, "has_more": False, "older": True}
    assert "older" not in call.ok(alice, CHECK, limit=25)


def test_with_after_id_the_oldest_after_it_are_given(call: Surface, alice: Caller) -> None:
    seed(alice, map(str, range(25)))
    answer = call.ok(alice, CHECK, after_id=2, limit=3)
    assert ids(answer) == [3, 4, 5]
    assert data_of(answer) | {"messages": []} == {"messages": [], "last_id": 5, "has_more": True}
    assert ids(call.ok(alice, CHECK, after_id=2)) == list(range(3, 23))
    assert call.ok(alice, CHECK, after_id=20, limit=5)["has_more"] is False
    if call.is_mcp:
        assert answer.text is not None
        assert "3 new message(s) in #general" in answer.text


@pytest.mark.parametrize("given", [{}, {"after_id": 0}, {"after_id": 7}, {"instance_id": "ann"}], ids=str)
def test_a_channel_that_is_not_there_reads_as_empty_and_is_not_made(
    call: Surface, alice: Caller, mallory: Caller, given: dict[str, Any]
) -> None:
    seed(mallory, ["hers"], channel="hers")
    for channel in ("nothing-here", "hers"):
        answer = call.ok(alice, CHECK, channel=channel, **given)
        assert answer.data == {"messages": [], "last_id": None, "has_more": False}
        if call.is_mcp:
            assert answer.text is not None
            assert f"No {'new ' if 'after_id' in given else ''}messages in #{channel}" in answer.text
    assert [row.name for row in Channel.objects.filter(workspace=alice.workspace)] == ["general"]


@pytest.mark.parametrize("asked", ["team-room", "Team Room", "TEAM__room!", "#team room", " -team room- "])
def test_the_channel_is_normalised_on_reading_as_on_writing(call: Surface, alice: Caller, asked: str) -> None:
    seed(alice, ["x"], channel="team-room")
    assert ids(call.ok(alice, CHECK, channel=asked)) == [1]


def test_nulls_are_as_good_as_left_out(call: Surface, alice: Caller) -> None:
    seed(alice, map(str, range(21)))
    answer = call.ok(
        alice, CHECK, channel=None if call.is_mcp else "general", after_id=None, limit=None, instance_id=None
    )
    assert ids(answer) == list(range(2, 22))


def test_the_limit_is_brought_into_its_range(call: Surface, alice: Caller) -> None:
    seed(alice, map(str, range(203)))
    for asked, given in [(0, 1), (-5, 1), (1, 1), (3.0, 3), (200, 200), (201, 200), (10**30, 200), (1e300, 200)]:
        assert len(call.ok(alice, CHECK, limit=asked)["messages"]) == given, asked
        assert len(call.ok(alice, CHECK, limit=asked, after_id=0)["messages"]) == given, asked


def test_an_after_id_beyond_all_numbers_gives_nothing_and_one_below_gives_all(call: Surface, alice: Caller) -> None:
    seed(alice, "abc")
    for after_id, found in [(3, []), (2**63, []), (10**40, []), (1e300, []), (-1, [1, 2, 3]), (2.0, [3])]:
        assert ids(call.ok(alice, CHECK, after_id=after_id)) == found, after_id
        assert ids(call.ok(alice, CHECK, after_id=after_id, instance_id=f"reader {after_id}")) == found, after_id


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "many"},
        {"limit": 2.5},
        {"limit": True},
        {"limit": [20]},
        {"limit": "NaN"},
        {"after_id": "last"},
        {"after_id": 1.5},
        {"after_id": False},
        {"after_id": {"id": 1}},
        {"instance_id": " ann"},
        {"instance_id": "a\nb"},
        {"instance_id": "a\0b"},
        {"instance_id": "x" * 81},
        {"instance_id": "Human"},
        {"channel": "!!!"},
        {"channel": "x" * 81},
        {"colour": "red"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name_and_leaves_nothing(
    call: Surface, alice: Caller, wrong: dict[str, Any]
) -> None:
    before = stored(alice)
    refusal = call.refused(alice, CHECK, "invalid_input", **wrong)
    assert next(iter(wrong)) in refusal.message
    assert refusal.status in (400, None)
    assert stored(alice) == before


# --- one answer is bounded --------------------------------------------------------------------------------------


def test_an_answer_of_large_messages_is_cut_and_says_so(call: Surface, alice: Caller) -> None:
    seed(alice, [f"{number}" + "x" * 20_000 for number in range(5)])
    assert (ids(first := call.ok(alice, CHECK, after_id=0)), first["has_more"]) == ([1, 2], True)
    assert (ids(second := call.ok(alice, CHECK, after_id=2)), second["has_more"]) == ([3, 4], True)
    assert (ids(third := call.ok(alice, CHECK, after_id=4)), third["has_more"]) == ([5], False)
    newest = call.ok(alice, CHECK)
    assert (ids(newest), newest["older"], newest["has_more"]) == ([4, 5], True, False)


def test_the_bound_is_of_the_bytes_of_the_whole_answer(call: Surface, alice: Caller) -> None:
    seed(alice, ["x" * 60])
    around = len(orjson.dumps(data_of(call.ok(alice, CHECK))["messages"][0])) - 60
    seed(alice, ["é" * 14_000, "x" * (BODY_MOST - 28_000 - 2 * (around + 10))], channel="c")
    for given in ({}, {"after_id": 0}, {"after_id": 0, "instance_id": "ann"}):
        answer = call.ok(alice, CHECK, channel="c", **given)
        assert len(orjson.dumps(data_of(answer))) <= BODY_MOST, given
        assert answer["has_more"] or answer.get("older"), given


@pytest.mark.parametrize("content", ["x" * 64_000, "\U0001f600" * 64_000])
def test_at_least_one_message_is_given_however_large(call: Surface, alice: Caller, content: str) -> None:
    seed(alice, [content, content])
    assert contents(call.ok(alice, CHECK, after_id=0)) == [content]
    assert ids(call.ok(alice, CHECK, after_id=1)) == [2]
    assert ids(call.ok(alice, CHECK)) == [2]


# --- who reads --------------------------------------------------------------------------------------------------


def test_an_instances_own_messages_are_left_out(call: Surface, alice: Caller) -> None:
    seed(alice, "abc", sender="ann")
    seed(alice, "d", sender="bo")
    seed(alice, "e", sender="ann")
    for given in ({}, {"after_id": 0}):
        assert ids(call.ok(alice, CHECK, **given)) == [1, 2, 3, 4, 5]
        assert ids(call.ok(alice, CHECK, instance_id="ann", **given)) == [4]
    full = call.ok(alice, CHECK, instance_id="ann", after_id=0, limit=1)
    assert (ids(full), full["has_more"]) == ([4], False)


def test_an_instance_key_reads_as_its_instance_alone(call: Surface, alice: Caller) -> None:
    worker = alice.with_key("worker")
    call.ok(worker, "send_message", content="mine")
    seed(alice, "x")
    assert ids(call.ok(worker, CHECK)) == [2]
    assert ids(call.ok(worker, CHECK, instance_id="worker")) == [2]
    call.refused(worker, CHECK, "wrong_instance", instance_id="ann")
    call.refused(alice, CHECK, "wrong_instance", instance_id="worker")
    assert not Instance.objects.filter(workspace=alice.workspace, name="ann").exists()


def test_a_read_only_key_reads_and_leaves_nothing(call: Surface, alice: Caller) -> None:
    seed(alice, "abc")
    before = stored(alice)
    reader = alice.with_key(read_only=True)
    bound = alice.with_key("worker", read_only=True)
    for caller, given in [(reader, {}), (reader, {"instance_id": "ann"}), (bound, {})]:
        for _ in range(2):
            answer = call.ok(caller, CHECK, **given)
            assert data_of(answer) | {"messages": []} == {"messages": [], "last_id": 3, "has_more": False}
            assert all("again" not in message for message in answer["messages"])
    assert stored(alice) == before
    assert not Cursor.objects.filter(workspace=alice.workspace).exists()
    call.refused(reader, CHECK, "wrong_instance", instance_id="worker")


def test_a_reader_takes_a_place_and_an_onlooker_does_not(call: Surface, make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    for reader in ("ann", "bo"):
        call.ok(anna, CHECK, instance_id=reader)
    refusal = call.refused(anna, CHECK, "limit_reached", instance_id="cy")
    assert set(refusal.details["places"]) == {"ann", "bo"}
    call.ok(anna, CHECK)
    assert [name for name, _ in stored(anna)["instances"]] == ["ann", "bo"]
    change_plan(anna, "starter")
    call.ok(anna, CHECK, instance_id="cy")


def test_another_workspaces_messages_are_not_there(call: Surface, alice: Caller, mallory: Caller) -> None:
    seed(alice, "abc")
    for given in ({}, {"after_id": 0}, {"instance_id": "writer"}, {"instance_id": "mal", "after_id": 0}):
        assert call.ok(mallory, CHECK, **given)["messages"] == []


# --- retention --------------------------------------------------------------------------------------------------


def test_what_is_past_the_retention_is_invisible_at_once(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, "ab")
    clock.forward(days=50)
    seed(alice, "c")
    seed(alice, "d", channel="other")
    assert ids(call.ok(alice, CHECK)) == [1, 2, 3]
    clock.forward(days=41)
    for given in ({}, {"after_id": 0}, {"after_id": 1}, {"instance_id": "ann"}, {"instance_id": "bo", "after_id": 0}):
        assert ids(call.ok(alice, CHECK, **given)) == [3], given
    assert call.ok(alice, CHECK, channel="other", instance_id="cy", limit=1).get("older") is None
    clock.forward(days=50)
    for given in ({}, {"after_id": 0}, {"instance_id": "ann"}, {"instance_id": "bo", "after_id": 0}):
        answer = call.ok(alice, CHECK, **given)
        assert answer.data == {"messages": [], "last_id": None, "has_more": False}, given
    assert seed(alice, "e") == [5]
    assert ids(call.ok(alice, CHECK)) == [5]


def test_only_what_has_not_expired_counts_as_older_or_unread(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, "abc", channel="news")
    clock.forward(days=89)
    seed(alice, "de", channel="news")
    assert call.ok(alice, CHECK, instance_id="ann")["unread"] == {"news": 5}
    clock.forward(days=2)
    assert call.ok(alice, CHECK, instance_id="ann")["unread"] == {"news": 2}
    assert "older" not in call.ok(alice, CHECK, channel="news", limit=2)
    clock.forward(days=90)
    assert "unread" not in call.ok(alice, CHECK, instance_id="ann")


def test_a_longer_retention_that_is_held_counts(call: Surface, make_workspace: MakeWorkspace, clock: Clock) -> None:
    anna = make_workspace("free")
    seed(anna, "a")
    hold = {"days": 30, "until": (clock.now().replace(microsecond=0)).isoformat().replace("+00:00", ".000Z")}
    anna.workspace.retention_holds = [
        hold | {"until": "2999-01-01T00:00:00.000Z"},
        {"days": 60, "until": hold["until"]},
    ]
    anna.workspace.save()
    caller = anna.with_key()  # a new key is read with the new figures
    clock.forward(days=29)
    assert ids(call.ok(caller, CHECK)) == [1]
    clock.forward(days=2)
    assert ids(call.ok(caller, CHECK)) == []
