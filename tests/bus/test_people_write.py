"""What people write in channels, beside the agents: stamped, counted, without a place."""

from __future__ import annotations

from typing import Any

import pytest

from accounts import principals
from accounts.models import Member, UsageDay, User
from accounts.principals import Principal
from bus.models import Counters, Instance, Message
from bus.services import messages, moderation, people
from crosswire.lib.errors import CrossWireError
from tests.bus.waiters import answered, begin
from tests.support import laws
from tests.support.cast import Caller
from tests.support.messages import change_plan, contents, principal_of, stored, use_up
from tests.support.people import Person, make_person, owner_of
from tests.support.surfaces import Surface

ONE = pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)


def me(person: Person) -> Principal:
    return principals.of_member(Member.objects.select_related("workspace", "user").get(pk=person.member.pk))


def post(person: Person, content: str = "hello", **fields: Any) -> int:
    return people.post(me(person), channel=fields.pop("channel", "general"), content=content, **fields)["id"]


def refused(person: Person, **fields: Any) -> str:
    with pytest.raises(CrossWireError) as refusal:
        post(person, **fields)
    return refusal.value.code


def test_a_persons_message_is_stamped_with_their_name_and_is_nobody_elses(call: Surface, alice: Caller) -> None:
    ada = owner_of(alice)
    number = post(ada, "hello")
    message = Message.objects.get(workspace=alice.workspace, number=number)
    assert (message.sender, message.sender_kind, message.member_id, message.verified) == (
        *("human:Ada Jones", "human"),
        ada.member.pk,
        True,
    )
    shown = call.ok(alice, "check_messages", channel="general", instance_id="ann")["messages"][0]
    assert (shown["sender"], shown["sender_kind"], shown["verified"]) == ("human:Ada Jones", "human", True)


def test_a_person_is_no_instance_and_takes_no_place(alice: Caller) -> None:
    change_plan(alice, "free", instances=0)
    post(owner_of(alice))
    assert not Instance.objects.filter(workspace=alice.workspace).exists()
    assert laws.broken(alice) == []


def test_peoples_messages_count_and_stop_at_the_quota(alice: Caller) -> None:
    ada = owner_of(alice)
    change_plan(alice, messages=10)
    use_up(alice, 9)
    post(ada)
    assert Counters.objects.get(workspace=alice.workspace).month_messages == 10
    before = stored(alice)
    assert refused(ada) == "quota_exceeded"
    assert stored(alice) == before
    assert UsageDay.objects.get(workspace=alice.workspace).instance == "human:Ada Jones"


def test_what_the_system_says_costs_nothing_even_past_the_quota(alice: Caller) -> None:
    ada = owner_of(alice)
    change_plan(alice, messages=10)
    use_up(alice, 10)
    moderation.pause(me(ada), channel="general", actor="ada")
    message = Message.objects.get(workspace=alice.workspace)
    assert (message.sender, message.sender_kind, message.message_type) == ("system", "system", "status")
    assert Counters.objects.get(workspace=alice.workspace).month_messages == 10
    assert not UsageDay.objects.filter(workspace=alice.workspace).exists()


def test_the_same_key_stores_once_and_another_text_under_it_is_refused(alice: Caller) -> None:
    ada = owner_of(alice)
    first = post(ada, "one", idempotency_key="k")
    assert post(ada, "one", idempotency_key="k") == first
    assert refused(ada, content="two", idempotency_key="k") == "idempotency_conflict"
    assert Message.objects.filter(workspace=alice.workspace).count() == 1


def test_a_viewer_writes_nothing(alice: Caller) -> None:
    assert refused(make_person(alice.workspace, "viewer")) == "read_only_key"


def test_a_key_does_not_write_as_a_person(alice: Caller) -> None:
    with pytest.raises(CrossWireError) as refusal:
        people.post(principal_of(alice), channel="general", content="x")
    assert refusal.value.code == "forbidden"


@ONE
@pytest.mark.parametrize("name", ["human:Ada Jones", "Human:x", "human:", "human", "system"])
def test_no_agent_can_look_like_a_person_or_the_system(call: Surface, alice: Caller, name: str) -> None:
    call.refused(alice, "send_message", "invalid_input", sender=name, content="x")
    call.refused(alice, "check_messages", "invalid_input", instance_id=name)


@pytest.mark.parametrize(
    ("name", "sender"),
    [
        ("Ada\nJones\u202e", "human:AdaJones"),
        ("x" * 150, "human:" + "x" * 74),
        ("", "human:"),
        ("\u202e", "human:somebody"),
        ('<b>"Ada"</b>', 'human:<b>"Ada"</b>'),
    ],
)
def test_any_name_makes_a_sender_that_is_one_line(alice: Caller, name: str, sender: str) -> None:
    ada = owner_of(alice)
    User.objects.filter(pk=ada.user.pk).update(name=name)
    post(ada)
    found = Message.objects.get(workspace=alice.workspace).sender
    assert found.startswith(sender)
    assert 6 < len(found) <= 80


@ONE
def test_a_waiting_agent_is_woken_by_a_person_and_told_that_it_is_one(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, channel="general", instance_id="ann", timeout_seconds=30)
    number = post(owner_of(alice), "look here", message_type="request")
    answer = answered(waited)
    assert contents(answer) == ["look here"]
    assert answer.text is not None
    assert f'#{number} in #general from "human:Ada Jones" (a person of this workspace)' in answer.text
    reply = call.ok(alice, "send_message", sender="ann", content="yes", in_reply_to=number)
    assert reply["in_reply_to"] == number


@ONE
def test_a_person_saying_done_ends_a_wait(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, channel="general", instance_id="ann", timeout_seconds=30)
    post(owner_of(alice), "that is all", message_type="done")
    assert answered(waited)["ended"] == "done"


def test_what_a_person_wrote_is_found_by_their_name(call: Surface, alice: Caller) -> None:
    number = post(owner_of(alice), "the needle is here")
    messages.send(principal_of(alice), channel="general", sender="ann", content="another needle")
    found = call.ok(alice, "search_messages", query="needle", sender="human:Ada Jones")["messages"]
    assert [message["id"] for message in found] == [number]


def test_a_reply_to_what_is_not_there_is_refused(alice: Caller) -> None:
    assert refused(owner_of(alice), in_reply_to=99) == "not_found"


def test_who_leaves_leaves_their_words(alice: Caller) -> None:
    ada = owner_of(alice)
    post(ada)
    ada.member.delete()
    message = Message.objects.get(workspace=alice.workspace)
    assert (message.member_id, message.sender) == (None, "human:Ada Jones")
