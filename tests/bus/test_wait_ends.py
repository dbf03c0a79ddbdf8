"""How `wait_for_reply` ends without a message: time, a newer wait, leaving, a stopping server, a limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bus import clients, waiting
from tests.bus.waiters import WAIT, answered, begin, open_waits, present, until
from tests.support.cast import Caller
from tests.support.messages import change_plan, ids, seed
from tests.support.surfaces import MCP, Refusal, Result, Surface

pytestmark = pytest.mark.parametrize("call", MCP, indirect=True)


@pytest.fixture
def ann(call: Surface, alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    call.ok(alice, "register", instance_id="ann")
    return alice


# --- time -------------------------------------------------------------------------------------------------------


def ended_by_time(answer: Result) -> None:
    assert (answer["ended"], answer["messages"], answer["last_id"]) == ("time", [], None)
    assert answer.text is not None
    for phrase in ("No new messages in #general", "transport-safe ceiling", "may be busy or offline"):
        assert phrase in answer.text
    resume = f'wait_for_reply(channel="general", instance_id="ann", after_id={answer["resume_after_id"]})'
    assert f"TO KEEP LISTENING: {resume}" in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        {"timeout_seconds": 0.2, "persistent": False},
        {"timeout_seconds": 0, "persistent": False},
        {"timeout_seconds": 0.2, "persistent": False, "poll_interval_seconds": 0.01, "max_wait_minutes": 5},
        {"timeout_seconds": 60, "max_wait_minutes": 0.003},
    ],
    ids=["timeout", "no time at all", "limits of a persistent one", "minutes"],
)
def test_the_time_asked_for_ends_it_with_a_normal_answer(call: Surface, ann: Caller, asked: dict[str, Any]) -> None:
    ended_by_time(call.ok(ann, WAIT, instance_id="ann", **asked))
    assert open_waits(ann) == []


@pytest.mark.parametrize("asked", [{}, {"timeout_seconds": 86_400, "persistent": False}], ids=["default", "a day"])
def test_the_clients_ceiling_ends_it_with_a_normal_answer(
    call: Surface, ann: Caller, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    monkeypatch.setattr(clients, "DEFAULT_SECONDS", 0.2)
    ended_by_time(call.ok(ann, WAIT, instance_id="ann", **asked))


def test_what_comes_after_the_end_is_there_for_who_goes_on(call: Surface, ann: Caller) -> None:
    seed(ann, ["before"])
    call.ok(ann, WAIT, instance_id="ann")
    answer = call.ok(ann, WAIT, instance_id="ann", after_id=1, timeout_seconds=0, persistent=False)
    assert answer["resume_after_id"] == 1
    (number,) = seed(ann, ["meanwhile"])
    assert ids(call.ok(ann, WAIT, instance_id="ann", after_id=answer["resume_after_id"])) == [number]


def test_what_is_unread_elsewhere_is_told_at_the_end(call: Surface, ann: Caller) -> None:
    seed(ann, ["x"], channel="other")
    answer = call.ok(ann, WAIT, instance_id="ann", timeout_seconds=0, persistent=False)
    assert answer["unread"] == {"other": 1}
    assert answer.text is not None
    assert "1 in #other" in answer.text


def test_a_wait_where_there_is_no_channel_says_so(call: Surface, ann: Caller) -> None:
    asked = {"instance_id": "ann", "channel": "odrers", "timeout_seconds": 0, "persistent": False}
    answer = call.ok(ann, WAIT, **asked)
    assert answer["no_such_channel"] is True
    for said in (answer["next"], str(answer.text)):
        assert "There is no #odrers yet" in said
        assert "TO KEEP LISTENING" in said
    (number,) = seed(ann, ["x"], channel="odrers")
    call.ok(ann, WAIT, **asked)
    answer = call.ok(ann, WAIT, **asked, after_id=number)
    assert "no_such_channel" not in answer
    assert "There is no" not in answer["next"]


@pytest.mark.parametrize(
    ("client", "seconds"),
    [
        ("claude-code/2.1.9", 240),
        ("Claude-User", 240),
        (" Codex/0.9", 100),
        ("ChatGPT-User/1.0", 45),
        ("openai-mcp/1", 45),
        ("curl/8", 45),
        ("", 45),
    ],
)
def test_each_client_waits_no_longer_than_it_survives(call: Surface, client: str, seconds: float) -> None:
    assert clients.ceiling(client) == seconds


# --- progress ---------------------------------------------------------------------------------------------------


def waited_with(call: Surface, caller: Caller, **more: Any) -> Result:
    arguments = {"instance_id": "ann", "timeout_seconds": 0.5, "persistent": False}
    answer = call.request(caller, "tools/call", {"name": WAIT, "arguments": arguments, **more})
    assert isinstance(answer, Result), answer
    return answer


def test_progress_is_told_to_a_client_that_gave_a_token(
    call: Surface, ann: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PROGRESS_SECONDS", 0.1)
    told = waited_with(call, ann, _meta={"progressToken": "wait-1"}).notifications
    assert {notice["method"] for notice in told} == {"notifications/progress"}
    assert {notice["params"]["progressToken"] for notice in told} == {"wait-1"}
    times = [notice["params"]["progress"] for notice in told]
    assert len(times) >= 2
    assert times == sorted(times)
    assert "still waiting" in told[0]["params"]["message"]


def test_no_progress_is_told_without_a_token(call: Surface, ann: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PROGRESS_SECONDS", 0.1)
    assert waited_with(call, ann).notifications == []


# --- a newer wait -----------------------------------------------------------------------------------------------


def test_a_newer_wait_of_the_instance_on_the_channel_ends_the_older(call: Surface, ann: Caller) -> None:
    older = begin(call, ann, instance_id="ann")
    newer = begin(call, ann, instance_id="ann")
    answer = answered(older)
    assert (answer["ended"], answer["messages"]) == ("superseded", [])
    assert answer.text is not None
    assert "superseded" in answer.text
    (number,) = seed(ann, ["x"])
    assert ids(answered(newer)) == [number]


def test_a_newer_wait_that_is_answered_at_once_ends_the_older_too(call: Surface, ann: Caller) -> None:
    older = begin(call, ann, instance_id="ann", channel="c", after_id=10)
    seed(ann, ["x"], channel="c")
    assert ids(call.ok(ann, WAIT, instance_id="ann", channel="c", after_id=0)) == [1]
    assert answered(older)["ended"] == "superseded"


def test_waits_of_others_and_on_other_channels_go_on(call: Surface, ann: Caller) -> None:
    waits = [
        begin(call, ann, instance_id="ann"),
        begin(call, ann, instance_id="ann", channel="other"),
        begin(call, ann, instance_id="bo"),
        begin(call, ann, "inbox", instance_id="ann", wait=60),
    ]
    assert len(open_waits(ann)) == 4
    seed(ann, ["x"])
    seed(ann, ["x"], channel="other")
    assert {answered(each)["ended"] for each in waits} == {"message"}


def test_of_waits_that_begin_together_one_stays(call: Surface, ann: Caller) -> None:
    together = [call.start(ann, WAIT, instance_id="ann") for _ in range(8)]
    until(lambda: sum(each.done() for each in together) == 7, "not exactly one wait stays open")
    assert len(open_waits(ann)) == 1
    (number,) = seed(ann, ["x"])
    answers = [answered(each) for each in together]
    assert sorted(answer["ended"] for answer in answers) == ["message"] + 7 * ["superseded"]
    assert [ids(answer) for answer in answers if answer["messages"]] == [[number]]


# --- leaving, limits, the server's end --------------------------------------------------------------------------


def test_unregistering_ends_every_wait_of_the_instance(call: Surface, ann: Caller) -> None:
    mine = [begin(call, ann, instance_id="ann"), begin(call, ann, instance_id="ann", channel="other")]
    theirs = begin(call, ann, instance_id="bo")
    call.ok(ann, "unregister", instance_id="ann")
    for waited in mine:
        answer = answered(waited)
        assert answer["ended"] == "unregistered"
        assert answer.text is not None
        assert "unregistered" in answer.text
    states = {each["instance_id"]: each["status"] for each in call.ok(ann, "list_instances")["instances"]}
    assert states == {"ann": "offline", "bo": "online"}
    seed(ann, ["x"])
    assert answered(theirs)["ended"] == "message"


def test_a_workspace_has_so_many_waits_and_no_more(call: Surface, ann: Caller, mallory: Caller) -> None:
    change_plan(ann, waits=2)
    ann = ann.with_key()
    waits = [begin(call, ann, instance_id=name) for name in ("a", "b")]
    refusal = call.refused(ann, WAIT, "limit_reached", instance_id="c")
    assert "2 waits" in refusal.message
    assert (refusal.details["limit"], refusal.details["plan"]) == (2, "pro")
    replaced = begin(call, ann, instance_id="b")
    assert answered(waits[1])["ended"] == "superseded"
    other = begin(call, mallory, instance_id="c")
    for caller in (ann, mallory):
        seed(caller, ["x"])
    assert [answered(each)["ended"] for each in (waits[0], replaced, other)] == 3 * ["message"]
    call.ok(ann, WAIT, instance_id="c")


def test_of_many_waits_at_the_limit_exactly_so_many_are_let_in(call: Surface, ann: Caller) -> None:
    change_plan(ann, waits=5)
    ann = ann.with_key()
    together = [call.start(ann, WAIT, instance_id=f"i{number}") for number in range(15)]
    until(lambda: sum(each.done() for each in together) >= 10, "too many waits are let in")
    seed(ann, ["x"])
    answers = [each.result(20) for each in together]
    refused = [answer.code for answer in answers if isinstance(answer, Refusal)]
    assert refused == 10 * ["limit_reached"]
    assert [answer["ended"] for answer in answers if isinstance(answer, Result)] == 5 * ["message"]


@pytest.fixture
def _room_put_right() -> Iterator[None]:
    yield
    waiting.room.is_closed = False


@pytest.mark.usefixtures("_room_put_right")
def test_a_stopping_server_ends_waits_in_good_order_and_takes_no_new_ones(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, instance_id="ann")
    inbox = begin(call, ann, "inbox", instance_id="ann", wait=60)
    waiting.room.close()
    answer = answered(waited)
    assert (answer["ended"], answer["messages"]) == ("restart", [])
    assert answer.text is not None
    assert "reconnect and go on" in answer.text
    assert "TO KEEP LISTENING" in answer.text
    assert answered(inbox)["ended"] == "restart"
    until(lambda: not present(ann) and not open_waits(ann), "somebody still waits")
    for operation, arguments in ((WAIT, {}), ("inbox", {"wait": 5})):
        refusal = call.refused(ann, operation, "unavailable", instance_id="ann", **arguments)
        assert refusal.details["retry_after"] == 1
    (number,) = seed(ann, ["meanwhile"])
    waiting.room.is_closed = False
    assert ids(call.ok(ann, WAIT, instance_id="ann", after_id=answer["resume_after_id"])) == [number]
