from __future__ import annotations

import re
from typing import Any

import pytest

from bus.models import Cursor, Instance, Message
from bus.services import messages
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import TIME, change_plan, contents, data_of, ids, principal_of, seed, stored
from tests.support.surfaces import Surface

REPLIES = "get_replies"


def reply(caller: Caller, parent: int, texts: list[str], channel: str = "general", sender: str = "bo") -> list[int]:
    """Store replies; return their ids."""
    principal = principal_of(caller)
    return [
        messages.send(principal, channel=channel, sender=sender, content=text, in_reply_to=parent)["id"]
        for text in texts
    ]


def test_a_message_and_its_replies_are_answered_oldest_first_in_their_whole_shape(call: Surface, alice: Caller) -> None:
    seed(alice, ["question"], sender="ann")
    seed(alice, ["beside it"])
    reply(alice, 1, ["first", "second"])
    reply(alice, 3, ["a reply to a reply"])
    answer = call.ok(alice, REPLIES, message_id=1)
    data = data_of(answer)
    assert TIME.fullmatch(data["parent"].pop("created_at"))
    assert data["parent"] == {
        "id": 1,
        "channel": "general",
        "sender": "ann",
        "content": "question",
        "message_type": "message",
        "in_reply_to": None,
        "reply_count": 2,
        "verified": False,
        "sender_kind": "agent",
    }
    assert [(each["id"], each["content"], each["reply_count"]) for each in data["replies"]] == [
        (3, "first", 1),
        (4, "second", 0),
    ]
    assert all(each["in_reply_to"] == 1 for each in data["replies"])
    assert data["replies"][0].keys() == data["parent"].keys() | {"created_at"}
    assert data.keys() - {"parent", "replies"} == {"has_more"}
    assert data["has_more"] is False
    if call.is_mcp:
        assert answer.text is not None
        assert "2 replies" in answer.text


def test_a_message_without_replies_is_answered_alone(call: Surface, alice: Caller) -> None:
    seed(alice, ["alone"])
    answer = call.ok(alice, REPLIES, message_id=1)
    assert (answer["parent"]["id"], answer["replies"], answer["has_more"]) == (1, [], False)
    if call.is_mcp:
        assert answer.text is not None
        assert "0 replies" in answer.text


def test_the_channel_is_normalised_and_has_to_be_the_messages(call: Surface, alice: Caller) -> None:
    seed(alice, ["here"], channel="team-room")
    for channel in ("team-room", "Team Room", "team__room"):
        assert call.ok(alice, REPLIES, message_id=1, channel=channel)["parent"]["id"] == 1
    for channel in ("general", "no-such-channel"):
        refusal = call.refused(alice, REPLIES, "not_found", message_id=1, channel=channel)
        assert refusal.status in (404, None)


@pytest.mark.parametrize("number", [0, 2, 4, 2**63 - 1])
def test_a_message_that_is_not_there_is_not_found(call: Surface, alice: Caller, mallory: Caller, number: int) -> None:
    seed(alice, ["mine"])
    seed(mallory, ["hers"] * 3)
    reply(mallory, 2, ["her reply"])
    refusal = call.refused(alice, REPLIES, "not_found", message_id=number)
    assert refusal.status in (404, None)


def test_a_strangers_message_looks_absent(call: Surface, alice: Caller, mallory: Caller) -> None:
    seed(alice, ["mine"], channel="secret")
    theirs = call.refused(mallory, REPLIES, "not_found", message_id=1, channel="secret")
    nobodys = call.refused(mallory, REPLIES, "not_found", message_id=1, channel="nothing")
    assert theirs.message.replace("secret", "nothing") == nobodys.message
    assert theirs.details == nobodys.details


@pytest.mark.parametrize(
    "wrong",
    [
        {"message_id": "first"},
        {"message_id": 1.5},
        {"message_id": -1},
        {"message_id": True},
        {"message_id": 2**63},
        {"message_id": 10**30},
        {"message_id": "1\0"},
        {"channel": "!!!"},
        {"channel": "x" * 81},
        {"limit": 3},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(call: Surface, alice: Caller, wrong: dict[str, Any]) -> None:
    seed(alice, ["x"])
    refusal = call.refused(alice, REPLIES, "invalid_input", **{"message_id": 1} | wrong)
    named = next(iter(wrong))
    assert re.search(rf"\b{'id' if named == 'message_id' and not call.is_mcp else named}\b", refusal.message)
    assert refusal.status in (400, None)


def test_a_number_may_be_a_float(call: Surface, alice: Caller) -> None:
    seed(alice, ["x"])
    assert call.ok(alice, REPLIES, message_id=1.0)["parent"]["id"] == 1


def test_any_key_may_ask_and_asking_leaves_nothing(call: Surface, alice: Caller) -> None:
    seed(alice, ["x"])
    reply(alice, 1, ["y"])
    before = stored(alice)
    for caller in (alice, alice.with_key("worker"), alice.with_key(read_only=True)):
        assert ids(call.ok(caller, REPLIES, message_id=1), "replies") == [2]
    assert stored(alice) == before
    assert not Cursor.objects.filter(workspace=alice.workspace).exists()
    assert not Instance.objects.filter(workspace=alice.workspace, name="worker").exists()


# --- bounds -----------------------------------------------------------------------------------------------------


def test_an_answer_holds_what_fits_and_says_that_there_is_more(call: Surface, alice: Caller) -> None:
    seed(alice, ["p" * 20_000])
    reply(alice, 1, [f"{number}" + "x" * 20_000 for number in range(3)])
    answer = call.ok(alice, REPLIES, message_id=1)
    assert (answer["parent"]["id"], ids(answer, "replies"), answer["has_more"]) == (1, [2], True)


def test_a_large_parent_is_given_alone(call: Surface, alice: Caller) -> None:
    seed(alice, ["p" * 64_000])
    reply(alice, 1, ["x"])
    answer = call.ok(alice, REPLIES, message_id=1)
    assert (len(contents({"messages": [answer["parent"]]})[0]), answer["replies"]) == (64_000, [])
    assert answer["has_more"] is True


def test_at_most_200_replies_are_given(call: Surface, alice: Caller) -> None:
    seed(alice, ["question"])
    seed(alice, map(str, range(201)))
    Message.objects.filter(workspace=alice.workspace, number__gt=1).update(in_reply_to=1)
    answer = call.ok(alice, REPLIES, message_id=1)
    assert (ids(answer, "replies"), answer["has_more"]) == (list(range(2, 202)), True)


# --- retention --------------------------------------------------------------------------------------------------


def test_replies_outlive_their_parent_which_reads_as_gone(call: Surface, alice: Caller, clock: Clock) -> None:
    change_plan(alice, retention_days=10)
    caller = Caller(alice.key_for(), alice.workspace)  # a new key is read with the new figure
    seed(caller, ["question"])
    reply(caller, 1, ["early"])
    clock.forward(days=9)
    reply(caller, 1, ["late"])
    clock.forward(days=2)
    answer = call.ok(caller, REPLIES, message_id=1)
    assert (answer["parent"], contents(answer, "replies"), answer["has_more"]) == (None, ["late"], False)
    if call.is_mcp:
        assert answer.text is not None
        assert "gone" in answer.text
    call.refused(caller, REPLIES, "not_found", message_id=2)
    clock.forward(days=9)
    call.refused(caller, REPLIES, "not_found", message_id=1)
