from __future__ import annotations

from typing import Any

import pytest

from bus.models import Instance, Message
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import contents, ids, post_raw, stored
from tests.support.surfaces import Surface

SEND = "send_message"


def test_a_sent_message_is_answered_with_its_id_and_stored_as_it_was(call: Surface, alice: Caller) -> None:
    sent = call.ok(alice, SEND, channel="general", sender="ann", content="hello\n there ")
    assert sent.data == {
        "ok": True,
        "id": 1,
        "channel": "general",
        "message_type": "message",
        "created": True,
        "recipients": 0,
        "last_shown": None,
    }
    row = Message.objects.get(workspace=alice.workspace)
    assert (row.number, row.channel.name, row.channel_seq, row.sender) == (1, "general", 1, "ann")
    assert (row.content, row.message_type, row.in_reply_to, row.reply_count) == ("hello\n there ", "message", None, 0)
    assert (row.sender_kind, row.verified, row.member) == ("agent", False, None)
    if call.is_mcp:
        assert sent.text is not None
        assert 'Message #1 sent to #general as "ann" [message]' in sent.text


def test_channel_and_type_have_defaults_and_null_is_as_good_as_left_out(call: Surface, alice: Caller) -> None:
    nothing = {"channel": None, "message_type": None, "in_reply_to": None, "idempotency_key": None}
    for extra in ({}, nothing, {"in_reply_to": 0}):
        sent = call.ok(alice, SEND, sender="ann", content="x", **extra)
        assert (sent["channel"], sent["message_type"]) == ("general", "message")
        assert "in_reply_to" not in sent


@pytest.mark.parametrize("message_type", ["message", "request", "response", "status", "handoff", "done"])
def test_each_type_is_kept(call: Surface, alice: Caller, message_type: str) -> None:
    sent = call.ok(alice, SEND, sender="ann", content="x", message_type=message_type)
    assert sent["message_type"] == message_type
    assert Message.objects.get(workspace=alice.workspace).message_type == message_type


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("Team Room", "team-room"), ("  a__b--c! ", "a-b-c"), ("#Über_API", "ber-api"), ("x" * 80, "x" * 80)],
)
def test_the_channel_is_normalised_and_made(call: Surface, alice: Caller, asked: str, kept: str) -> None:
    assert call.ok(alice, SEND, channel=asked, sender="ann", content="x")["channel"] == kept
    assert ids(call.ok(alice, "check_messages", channel=kept)) == [1]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"content": ""}, "content"),
        ({"content": None}, "content"),
        ({"content": 5}, "content"),
        ({"content": ["x"]}, "content"),
        ({"content": "a\0b"}, "content"),
        ({"content": "x" * 64_001}, "content"),
        ({"sender": None}, "sender"),
        ({"sender": ""}, "sender"),
        ({"sender": 7}, "sender"),
        ({"sender": " ann"}, "sender"),
        ({"sender": "a\nb"}, "sender"),
        ({"sender": "a\0b"}, "sender"),
        ({"sender": "a\u2028b"}, "sender"),
        ({"sender": "x" * 81}, "sender"),
        ({"channel": "!!!"}, "channel"),
        ({"channel": ""}, "channel"),
        ({"channel": "x" * 81}, "channel"),
        ({"channel": 3}, "channel"),
        ({"message_type": "shout"}, "message_type"),
        ({"message_type": ""}, "message_type"),
        ({"in_reply_to": "first"}, "in_reply_to"),
        ({"in_reply_to": 1.5}, "in_reply_to"),
        ({"in_reply_to": True}, "in_reply_to"),
        ({"in_reply_to": -1}, "in_reply_to"),
        ({"in_reply_to": 2**63}, "in_reply_to"),
        ({"in_reply_to": 10**30}, "in_reply_to"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "k" * 129}, "idempotency_key"),
        ({"idempotency_key": "a\0b"}, "idempotency_key"),
        ({"colour": "red"}, "colour"),
        ({"verified": True}, "verified"),
        ({"sender_kind": "human"}, "sender_kind"),
    ],
    ids=lambda value: f"{value}"[:40] if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused_by_name_and_leaves_nothing(
    call: Surface, alice: Caller, wrong: dict[str, Any], named: str
) -> None:
    before = stored(alice)
    refusal = call.refused(alice, SEND, "invalid_input", **{"sender": "ann", "content": "x", "channel": "new"} | wrong)
    assert named in refusal.message
    assert refusal.status in (400, None)
    assert stored(alice) == before


@pytest.mark.parametrize("text", [r'"a\ud800b"', r'"\udfff"'])
@pytest.mark.parametrize("field", ["content", "sender", "idempotency_key"])
def test_lone_surrogates_are_refused_and_leave_nothing(call: Surface, alice: Caller, field: str, text: str) -> None:
    before = stored(alice)
    given = {"sender": '"ann"', "content": '"x"'} | {field: text}
    response = post_raw(call, alice, SEND, "{" + ", ".join(f'"{name}": {value}' for name, value in given.items()) + "}")
    assert '"isError":true' in response.text.replace(" ", "") or response.status_code == 400, response.text
    assert stored(alice) == before


def test_raw_calls_of_these_tests_do_arrive(call: Surface, alice: Caller) -> None:
    response = post_raw(call, alice, SEND, r'{"sender": "ann", "content": "a\ud83d\ude00b"}')
    assert response.status_code == 200
    assert contents(call.ok(alice, "check_messages")) == ["a\U0001f600b"]


@pytest.mark.parametrize("content", ["x" * 64_000, "\U0001f600" * 64_000, " ", "\r\n\t", "\u202eabc", "\x01\x7f"])
def test_any_other_text_up_to_the_bound_is_kept_as_it_was(call: Surface, alice: Caller, content: str) -> None:
    call.ok(alice, SEND, sender="ann", content=content)
    assert Message.objects.get(workspace=alice.workspace).content == content


# --- replies ----------------------------------------------------------------------------------------------------


def test_a_reply_names_its_parent_and_counts_there(call: Surface, alice: Caller) -> None:
    call.ok(alice, SEND, sender="ann", content="question", message_type="request")
    for parent in (1, 1.0):
        reply = call.ok(alice, SEND, sender="bo", content="answer", in_reply_to=parent)
        assert reply["in_reply_to"] == 1
    assert Message.objects.get(workspace=alice.workspace, number=1).reply_count == 2
    if call.is_mcp:
        assert reply.text is not None
        assert "reply to #1" in reply.text


def test_a_reply_to_a_message_of_another_channel_or_workspace_is_refused(
    call: Surface, alice: Caller, mallory: Caller
) -> None:
    call.ok(alice, SEND, sender="ann", content="here", channel="general")
    call.ok(alice, SEND, sender="ann", content="there", channel="other")
    for number in range(3):
        call.ok(mallory, SEND, sender="mal", content=str(number))
    before = stored(alice)
    for channel, parent in [("general", 2), ("other", 1), ("general", 3), ("new", 1), ("new", 3), ("general", 2**62)]:
        refusal = call.refused(alice, SEND, "not_found", sender="cy", content="x", channel=channel, in_reply_to=parent)
        assert f"#{parent}" in refusal.message
        assert refusal.status in (404, None)
    assert stored(alice) == before


def test_an_expired_message_cannot_be_replied_to(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, SEND, sender="ann", content="old")
    clock.forward(days=91)
    call.refused(alice, SEND, "not_found", sender="ann", content="x", in_reply_to=1)
    assert call.ok(alice, SEND, sender="ann", content="new")["id"] == 2


# --- whose name -------------------------------------------------------------------------------------------------


def test_an_instance_key_stamps_the_sender(call: Surface, alice: Caller) -> None:
    bound = alice.with_key("worker")
    for extra in ({}, {"sender": "worker"}, {"sender": None}):
        call.ok(bound, SEND, content="x", **extra)
    rows = Message.objects.filter(workspace=alice.workspace)
    assert list(rows.values_list("sender", "verified")) == [("worker", True)] * 3
    read = call.ok(alice, "check_messages")
    assert [(each["sender"], each["verified"]) for each in read["messages"]] == [("worker", True)] * 3


def test_nobody_speaks_for_an_instance_that_is_not_theirs(call: Surface, alice: Caller, mallory: Caller) -> None:
    bound = alice.with_key("worker")
    other = alice.with_key("other")
    before = stored(alice)
    for caller, sender in [(bound, "other"), (bound, "anybody"), (other, "worker"), (alice, "worker")]:
        refusal = call.refused(caller, SEND, "wrong_instance", sender=sender, content="x", channel="new")
        assert refusal.status in (403, None)
    assert stored(alice) == before
    assert call.ok(mallory, SEND, sender="worker", content="x")["id"] == 1  # names are a workspace's own


@pytest.mark.parametrize("name", ["human", "system", "operator", "crosswire", "all", "Human", "ALL"])
def test_reserved_names_send_nothing(call: Surface, alice: Caller, name: str) -> None:
    refusal = call.refused(alice, SEND, "invalid_input", sender=name, content="x")
    assert "reserved" in refusal.message
    assert not Message.objects.filter(workspace=alice.workspace).exists()


def test_a_read_only_key_sends_nothing(call: Surface, alice: Caller) -> None:
    before = stored(alice)
    for caller, sender in [(alice.with_key(read_only=True), "ann"), (alice.with_key("worker", read_only=True), None)]:
        refusal = call.refused(caller, SEND, "read_only_key", sender=sender, content="x", channel="new")
        assert refusal.status in (403, None)
    assert stored(alice) == before


# --- order ------------------------------------------------------------------------------------------------------


def test_ids_are_dense_from_one_in_each_workspace_whatever_is_refused(
    call: Surface, alice: Caller, mallory: Caller
) -> None:
    found = []
    for number in range(1, 5):
        found.append(call.ok(alice, SEND, sender="ann", content="x", channel=f"c{number % 2}")["id"])
        call.refused(alice, SEND, "not_found", sender="ann", content="x", in_reply_to=99)
        assert call.ok(mallory, SEND, sender="mal", content="x")["id"] == number
    assert found == [1, 2, 3, 4]
    rows = Message.objects.filter(workspace=alice.workspace, channel__name="c1").order_by("number")
    assert list(rows.values_list("channel_seq", flat=True)) == [1, 2]


def test_parallel_sends_take_each_number_once(call: Surface, alice: Caller, bob: Caller) -> None:
    asked = [
        call.start(who, SEND, sender=f"s{n}", content=f"{n}", channel="c") for n in range(6) for who in (alice, bob)
    ]
    answers = [answer.result(60) for answer in asked]
    assert sorted(answer["id"] for answer in answers) == list(range(1, 13))  # type: ignore[index] # a refusal fails here
    rows = Message.objects.filter(workspace=alice.workspace).order_by("number")
    assert [row.channel_seq for row in rows] == list(range(1, 13))
    assert [row.created_at for row in rows] == sorted(row.created_at for row in rows)


def test_times_never_go_back_when_the_clock_does(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, SEND, sender="ann", content="first")
    clock.forward(hours=-3)
    call.ok(alice, SEND, sender="ann", content="second")
    first, second = Message.objects.filter(workspace=alice.workspace).order_by("number")
    assert second.created_at == first.created_at > product_clock.now()


def test_a_first_send_registers_the_sender_at_the_number_before_it(call: Surface, alice: Caller) -> None:
    call.ok(alice, SEND, sender="ann", content="x")
    call.ok(alice, SEND, sender="bo", content="x")
    rows = Instance.objects.filter(workspace=alice.workspace)
    assert sorted(rows.values_list("name", "joined_number")) == [("ann", 0), ("bo", 1)]


def test_a_send_moves_no_cursor_and_tells_what_is_unread(call: Surface, alice: Caller) -> None:
    call.ok(alice, SEND, sender="ann", content="x")
    for channel in ("general", "news", "news"):
        call.ok(alice, SEND, sender="bo", content="x", channel=channel)
    sent = call.ok(alice, SEND, sender="ann", content="mine")
    assert sent["unread"] == {"news": 2, "general": 1}
    assert sent["last_shown"] is None
    if call.is_mcp:
        assert sent.text is not None
        assert "2 in #news" in sent.text
    assert ids(call.ok(alice, "inbox", instance_id="ann")) == [2, 3, 4]
    assert call.ok(alice, SEND, sender="ann", content="mine")["last_shown"] == 2
