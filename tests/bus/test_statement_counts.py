"""What the calls that agents make all day cost in SQL. A number that grows here is a decision, not an accident."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts import principals
from bus import presence
from bus.services import messages
from crosswire.lib import executor
from tests.support.cast import Caller
from tests.support.messages import ids, principal_of, seed
from tests.support.surfaces import Surface

CHECK = "check_messages"
SEND = "send_message"

type Counting = Callable[..., Any]


@pytest.fixture
def ann(call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Alice, after `ann` has read #2 and said so: her key, her presence and her cursor are known, and stay so."""
    monkeypatch.setattr(principals, "REMEMBERED_SECONDS", 3_600.0)
    monkeypatch.setattr(presence, "TOUCHED_EVERY", timedelta(hours=1))
    call.ok(alice, "register", instance_id="ann")
    call.ok(alice, SEND, sender="ann", content="mine")
    seed(alice, ["x"], sender="bo")
    call.ok(alice, CHECK, instance_id="ann", after_id=1)
    call.ok(alice, CHECK, instance_id="ann", after_id=2)
    return alice


@pytest.mark.parametrize(
    ("given", "cost"),
    [
        ({}, 10),
        ({"idempotency_key": "k"}, 12),
        ({"in_reply_to": 2}, 13),
        ({"idempotency_key": "k", "in_reply_to": 2}, 15),
        ({"channel": "new"}, 10),
        ({"sender": "newcomer"}, 12),  # one notes that the key speaks as somebody new
    ],
    ids=str,
)
def test_a_send_costs(call: Surface, ann: Caller, statements: Counting, given: dict[str, Any], cost: int) -> None:
    with statements() as ran:
        call.ok(ann, SEND, **{"sender": "ann", "content": "x"} | given)
    assert len(ran) == cost, str(ran)


def test_a_retry_writes_nothing(call: Surface, ann: Caller, statements: Counting) -> None:
    call.ok(ann, SEND, sender="ann", content="x", idempotency_key="k")
    with statements() as ran:
        call.ok(ann, SEND, sender="ann", content="x", idempotency_key="k")
    assert len(ran) == 6, str(ran)
    assert all(each.lstrip().startswith("SELECT") for each in ran), str(ran)


def test_an_idle_check_is_one_statement_and_no_transaction(call: Surface, ann: Caller, statements: Counting) -> None:
    with statements() as ran:
        assert call.ok(ann, CHECK, instance_id="ann", after_id=2)["messages"] == []
    assert len(ran.everything) == 1, str(ran)


def test_a_check_with_news_is_four_and_its_confirmation_two(call: Surface, ann: Caller, statements: Counting) -> None:
    seed(ann, ["a", "b"], sender="bo")
    with statements() as ran:
        assert ids(call.ok(ann, CHECK, instance_id="ann", after_id=2)) == [3, 4]
    assert len(ran) == 4, str(ran)
    with statements() as ran:
        assert call.ok(ann, CHECK, instance_id="ann", after_id=4)["messages"] == []
    assert len(ran) == 2, str(ran)
    with statements() as ran:
        call.ok(ann, CHECK, instance_id="ann", after_id=4)
    assert len(ran) == 1, str(ran)


def test_unread_messages_elsewhere_cost_nothing_more(call: Surface, ann: Caller, statements: Counting) -> None:
    for number in range(7):
        seed(ann, ["x"] * 3, sender="bo", channel=f"c{number}")
    with statements() as ran:
        assert len(call.ok(ann, CHECK, instance_id="ann", after_id=2)["unread"]) == 5
    assert len(ran) == 1, str(ran)


def test_an_onlookers_check_is_two(call: Surface, ann: Caller, statements: Counting) -> None:
    for after_id in (0, 2):
        with statements() as ran:
            call.ok(ann, CHECK, after_id=after_id)
        assert len(ran) == 2, str(ran)


@pytest.mark.parametrize("call", ["lane"], indirect=True)
def test_a_batch_costs_what_a_send_does(ann: Caller, statements: Counting) -> None:
    batch = [messages.draft(principal_of(ann), channel="general", sender="ann", content=str(n)) for n in range(50)]
    with statements() as ran:
        asyncio.run(executor.run(messages.send_many, batch))
    assert len(ran) == 10, str(ran)
