"""Long polls over REST: GET /messages/{channel}?wait= and GET /inbox?wait=, on the lane and on DRF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from bus import clients, waiting
from tests.bus.waiters import WAIT, answered, begin, open_waits, present, until
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.messages import change_plan, ids, seed
from tests.support.surfaces import REST, Surface, SurfaceName

pytestmark = pytest.mark.parametrize("call", REST, indirect=True)
CHECK = "check_messages"


@pytest.fixture
def ann(call: Surface, alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    call.ok(alice, "register", instance_id="ann")
    return alice


@pytest.mark.parametrize("reader", [{"instance_id": "ann"}, {}], ids=["ann", "onlooker"])
def test_a_message_ends_the_wait(call: Surface, ann: Caller, reader: dict[str, Any]) -> None:
    waited = begin(call, ann, CHECK, wait=30, **reader)
    (number,) = seed(ann, ["x"])
    answer = answered(waited)
    assert (answer["ended"], ids(answer), answer["last_id"], answer["has_more"]) == ("message", [number], number, False)
    assert open_waits(ann) == []


def test_own_messages_wake_their_sender_not_but_an_onlooker(call: Surface, ann: Caller) -> None:
    mine, onlooker = begin(call, ann, CHECK, wait=30, instance_id="ann"), begin(call, ann, CHECK, wait=30)
    (own,) = seed(ann, ["mine"], sender="ann")
    assert ids(answered(onlooker)) == [own]
    (theirs,) = seed(ann, ["theirs"])
    assert ids(answered(mine)) == [theirs]


def test_what_is_there_after_the_id_is_answered_at_once(call: Surface, ann: Caller) -> None:
    seed(ann, ["one", "two", "three"])
    for reader in ({}, {"instance_id": "ann"}):
        answer = call.ok(ann, CHECK, wait=30, after_id=1, limit=1, **reader)
        assert (answer["ended"], ids(answer), answer["has_more"]) == ("message", [2], True)


def test_an_onlooker_without_an_id_waits_for_what_comes(call: Surface, ann: Caller) -> None:
    seed(ann, ["history"])
    waited = begin(call, ann, CHECK, wait=30)
    (number,) = seed(ann, ["news"])
    assert ids(answered(waited)) == [number]


def test_a_channel_that_is_not_there_yet_can_be_waited_for(call: Surface, ann: Caller) -> None:
    waits = [begin(call, ann, CHECK, channel="To Come", wait=30, **who) for who in ({}, {"instance_id": "ann"})]
    (number,) = seed(ann, ["x"], channel="to-come")
    assert [ids(answered(each)) for each in waits] == [[number], [number]]


@pytest.mark.parametrize("who", [{}, {"instance_id": "ann"}], ids=["an onlooker", "an instance"])
def test_where_there_is_no_channel_a_wait_says_so(call: Surface, alice: Caller, who: dict[str, str]) -> None:
    answer = call.ok(alice, "check_messages", channel="odrers", wait=0.1, **who)
    assert (answer["ended"], answer["no_such_channel"]) == ("time", True)
    assert "no_such_channel" not in call.ok(alice, "check_messages", wait=0.1, **who)


@pytest.mark.parametrize("operation", [CHECK, "inbox"])
def test_time_ends_it_with_an_empty_answer(call: Surface, ann: Caller, operation: str) -> None:
    answer = call.ok(ann, operation, wait=0.2, instance_id="ann")
    assert (answer.status, answer["ended"], answer["messages"], answer["has_more"]) == (200, "time", [], False)
    assert open_waits(ann) == []


@pytest.mark.parametrize("name", ["REST_SECONDS", "DEFAULT_SECONDS"])
def test_no_wait_outlives_what_clients_survive(
    call: Surface, ann: Caller, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(clients, name, 0.2)
    operation = CHECK if name == "REST_SECONDS" else "inbox"
    assert call.ok(ann, operation, wait=3_600, instance_id="ann")["ended"] == "time"


@pytest.mark.parametrize("wait", ["soon", "NaN", "-", "true"])
def test_a_wait_that_is_no_number_is_refused(call: Surface, ann: Caller, wait: str) -> None:
    assert "wait" in call.refused(ann, CHECK, "invalid_input", wait=wait).message


def test_without_a_wait_nothing_is_said_of_an_end(call: Surface, ann: Caller) -> None:
    for wait in (None, 0, "0.0"):
        assert "ended" not in call.ok(ann, CHECK, wait=wait)


# --- whose wait it is -------------------------------------------------------------------------------------------


def test_with_an_instance_a_newer_wait_ends_the_older_whatever_its_surface(
    call: Surface, surface: Callable[[SurfaceName], Surface], ann: Caller
) -> None:
    mcp = surface("mcp-2026-07-28")
    first = begin(call, ann, CHECK, wait=30, instance_id="ann")
    second = begin(mcp, ann, WAIT, instance_id="ann")
    assert answered(first)["ended"] == "superseded"
    third = begin(call, ann, CHECK, wait=30, instance_id="ann")
    assert answered(second)["ended"] == "superseded"
    seed(ann, ["x"])
    assert answered(third)["ended"] == "message"


def test_onlookers_end_nobodys_wait(call: Surface, ann: Caller) -> None:
    waits = [begin(call, ann, CHECK, wait=30) for _ in range(3)] + [begin(call, ann, CHECK, wait=30, instance_id="ann")]
    seed(ann, ["x"])
    assert [answered(each)["ended"] for each in waits] == 4 * ["message"]


def test_a_read_only_key_waits_as_an_onlooker(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann.with_key(read_only=True), CHECK, wait=30, instance_id="ann")
    seed(ann, ["mine"], sender="ann")
    (number,) = seed(ann, ["theirs"])
    assert ids(answered(waited)) == [number]
    assert ids(call.ok(ann, "inbox", instance_id="ann")) == [number]


def test_onlookers_count_as_waits_of_the_workspace(call: Surface, ann: Caller) -> None:
    change_plan(ann, waits=1)
    ann = ann.with_key()
    waited = begin(call, ann, CHECK, wait=30)
    refusal = call.refused(ann, CHECK, "limit_reached", wait=30)
    assert refusal.status == 429
    seed(ann, ["x"])
    assert answered(waited)["ended"] == "message"


# --- the inbox --------------------------------------------------------------------------------------------------


def test_a_message_in_any_channel_ends_a_waiting_inbox(call: Surface, ann: Caller) -> None:
    waited = begin(call, ann, "inbox", wait=30, instance_id="ann")
    seed(ann, ["mine"], sender="ann", channel="elsewhere")
    (number,) = seed(ann, ["x"], channel="brand-new")
    answer = answered(waited)
    assert (answer["ended"], ids(answer), answer["unread"], answer["has_more"]) == ("message", [number], {}, False)
    assert answer["messages"][0]["channel"] == "brand-new"


def test_a_waiting_inbox_answers_at_once_while_anything_is_unread(call: Surface, ann: Caller) -> None:
    seed(ann, ["one", "two"])
    answer = call.ok(ann, "inbox", wait=30, instance_id="ann", limit=1)
    assert (answer["ended"], ids(answer), answer["unread"]) == ("message", [1], {"general": 1})


def test_a_newer_waiting_inbox_ends_the_older_and_no_other_wait(call: Surface, ann: Caller) -> None:
    on_channel = begin(call, ann, CHECK, wait=30, instance_id="ann")
    older = begin(call, ann, "inbox", wait=30, instance_id="ann")
    newer = begin(call, ann, "inbox", wait=30, instance_id="ann")
    assert answered(older)["ended"] == "superseded"
    seed(ann, ["x"])
    assert [answered(each)["ended"] for each in (newer, on_channel)] == ["message", "message"]


# --- the server's end, and the client's -------------------------------------------------------------------------


@pytest.fixture
def _room_put_right() -> Iterator[None]:
    yield
    waiting.room.is_closed = False


@pytest.mark.usefixtures("_room_put_right")
@pytest.mark.parametrize("operation", [CHECK, "inbox"])
def test_a_stopping_server_ends_waits_and_asks_to_come_back(call: Surface, ann: Caller, operation: str) -> None:
    waited = begin(call, ann, operation, wait=30, instance_id="ann")
    waiting.room.close()
    assert answered(waited)["ended"] == "restart"
    refusal = call.refused(ann, operation, "unavailable", wait=30, instance_id="ann")
    assert (refusal.status, refusal.headers["retry-after"]) == (503, "1")
    (number,) = seed(ann, ["x"])
    assert ids(call.ok(ann, operation, instance_id="ann")) == [number]


@pytest.mark.parametrize("path", ["messages/general", "inbox"])
def test_who_hangs_up_waits_no_longer_and_is_shown_nothing(call: Surface, ann: Caller, path: str) -> None:
    address = f"{call.url}/api/{path}?wait=40&instance_id=ann"
    with pytest.raises(httpx2.ReadTimeout):
        loopback.get(address, headers=ann.headers, timeout=httpx2.Timeout(10, read=0.5))
    until(lambda: not open_waits(ann) and not present(ann), "the wait goes on without its client")
    (number,) = seed(ann, ["x"])
    answer = call.ok(ann, "inbox", instance_id="ann")
    assert (ids(answer), "again" in answer["messages"][0]) == ([number], False)
