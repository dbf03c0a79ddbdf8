from __future__ import annotations

from typing import Any

import pytest

from bus.models import Message
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, stored, use_up
from tests.support.surfaces import Result, Surface

SEND = "send_message"
KEYED = {"sender": "ann", "content": "x", "idempotency_key": "k1"}


def test_a_retry_gets_the_first_answer_and_stores_nothing(call: Surface, alice: Caller) -> None:
    call.ok(alice, SEND, sender="bo", content="parent")
    given = {**KEYED, "message_type": "response", "in_reply_to": 1}
    first = call.ok(alice, SEND, **given)
    call.ok(alice, SEND, sender="ann", content="between")
    after = stored(alice)
    again = call.ok(alice, SEND, **given)
    assert first["created"] is True
    assert again.data == {**first.data, "created": False}
    assert stored(alice) == after
    if call.is_mcp:
        assert again.text is not None
        assert "Message #2 sent" in again.text


def test_a_body_is_compared_in_its_normal_form(call: Surface, alice: Caller) -> None:
    first = call.ok(alice, SEND, **KEYED, channel="Team Room")
    again = call.ok(alice, SEND, **KEYED, channel="team_room", message_type="message", in_reply_to=0)
    assert (again["id"], again["created"]) == (first["id"], False)


@pytest.mark.parametrize(
    "change", [{"content": "y"}, {"channel": "other"}, {"message_type": "done"}, {"in_reply_to": 1}], ids=str
)
def test_another_body_under_the_same_key_is_a_conflict(call: Surface, alice: Caller, change: dict[str, Any]) -> None:
    call.ok(alice, SEND, **KEYED)
    before = stored(alice)
    refusal = call.refused(alice, SEND, "idempotency_conflict", **KEYED | change)
    assert "#1" in refusal.message
    assert refusal.details == {"id": 1}
    assert refusal.status in (409, None)
    assert stored(alice) == before


def test_keys_are_a_senders_and_a_workspaces_own(call: Surface, alice: Caller, mallory: Caller) -> None:
    assert call.ok(alice, SEND, **KEYED)["created"] is True
    assert call.ok(alice, SEND, **KEYED | {"sender": "bo", "content": "y"})["id"] == 2
    assert call.ok(alice, SEND, **KEYED | {"idempotency_key": "K1", "content": "y"})["id"] == 3
    assert call.ok(mallory, SEND, **KEYED | {"content": "y"})["id"] == 1


def test_another_key_of_the_workspace_may_retry(call: Surface, alice: Caller, bob: Caller) -> None:
    call.ok(alice, SEND, **KEYED)
    assert call.ok(bob, SEND, **KEYED)["created"] is False


def test_a_key_is_kept_for_24_hours(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, SEND, **KEYED)
    clock.forward(hours=23, minutes=59)
    assert call.ok(alice, SEND, **KEYED)["created"] is False
    clock.forward(minutes=2)
    renewed = call.ok(alice, SEND, **KEYED | {"content": "another"})
    assert (renewed["id"], renewed["created"]) == (2, True)
    assert call.ok(alice, SEND, **KEYED | {"content": "another"})["id"] == 2


def test_parallel_retries_store_one_message(call: Surface, alice: Caller, bob: Caller) -> None:
    asked = [call.start(who, SEND, **KEYED) for _ in range(6) for who in (alice, bob)]
    answers = [answer.result(60) for answer in asked]
    assert all(isinstance(answer, Result) for answer in answers), answers
    assert {answer["id"] for answer in answers} == {1}  # type: ignore[index] # none is a refusal
    assert sum(answer["created"] for answer in answers) == 1  # type: ignore[index] # as above
    assert Message.objects.filter(workspace=alice.workspace).count() == 1


def test_retries_cost_nothing_and_work_when_the_quota_is_used_up(call: Surface, make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    use_up(anna, 99)
    call.ok(anna, SEND, **KEYED)
    assert call.ok(anna, SEND, **KEYED)["created"] is False
    call.refused(anna, SEND, "quota_exceeded", **KEYED | {"idempotency_key": "k2"})
    assert call.ok(anna, SEND, **KEYED)["created"] is False


def test_a_retry_is_answered_whatever_has_become_of_its_parent_and_channel(
    call: Surface, alice: Caller, clock: Clock
) -> None:
    change_plan(alice, retention_days=1)
    caller = alice.with_key()  # a new key is read with the new figure
    call.ok(caller, SEND, sender="bo", content="parent", channel="c")
    clock.forward(hours=23)
    call.ok(caller, SEND, **KEYED, channel="c", in_reply_to=1)
    clock.forward(hours=2)
    call.refused(caller, SEND, "not_found", sender="cy", content="x", channel="c", in_reply_to=1)
    assert call.ok(caller, SEND, **KEYED, channel="c", in_reply_to=1)["id"] == 2


def test_a_refused_send_is_not_remembered_so_its_retry_after_an_upgrade_is_stored(
    call: Surface, make_workspace: MakeWorkspace
) -> None:
    anna = make_workspace("free")
    use_up(anna, 100)
    call.refused(anna, SEND, "quota_exceeded", **KEYED)
    change_plan(anna, "starter")
    sent = call.ok(anna, SEND, **KEYED)
    assert (sent["id"], sent["created"]) == (1, True)
    assert call.ok(anna, SEND, **KEYED)["created"] is False
    change_plan(anna, "free")
    assert call.ok(anna, SEND, **KEYED)["created"] is False
