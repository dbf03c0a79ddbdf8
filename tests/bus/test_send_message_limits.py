from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import UsageDay
from accounts.plans import upgrade_url
from bus.models import Channel, Counters, Message
from crosswire.lib import clock as product_clock
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, stored, use_up
from tests.support.surfaces import Refusal, Surface

SEND = "send_message"


@pytest.fixture
def anna(make_workspace: MakeWorkspace) -> Caller:
    """Has a workspace on the plan `free`: 100 messages, 2 instances, 3 channels."""
    return make_workspace("free")


# --- the month's quota ------------------------------------------------------------------------------------------


def test_the_last_message_of_the_quota_passes_and_the_next_leaves_nothing(call: Surface, anna: Caller) -> None:
    use_up(anna, 99)
    call.ok(anna, SEND, sender="ann", content="the last")
    before = stored(anna)
    refusal = call.refused(
        anna, SEND, "quota_exceeded", sender="bo", content="x", channel="new", idempotency_key="k", in_reply_to=None
    )
    assert stored(anna) == before
    resets_at = product_clock.iso(product_clock.month_ends_at(product_clock.now()))
    seconds = refusal.details.pop("retry_after")
    assert 0 < seconds <= 31 * 86_400
    assert refusal.details == {
        "plan": "free",
        "limit": 100,
        "used": 100,
        "resets_at": resets_at,
        "upgrade_url": upgrade_url(anna.workspace.slug),
    }
    assert all(part in refusal.message for part in ("Free", "100", resets_at, upgrade_url(anna.workspace.slug)))
    if not call.is_mcp:
        assert refusal.status == 429
        assert refusal.headers["retry-after"] == str(seconds)


def test_parallel_senders_at_the_edge_get_exactly_what_is_left(call: Surface, make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("pro")
    change_plan(caller, messages=50)
    use_up(caller, 45)
    asked = [call.start(caller, SEND, sender=f"s{number % 3}", content="x") for number in range(12)]
    answers = [answer.result(60) for answer in asked]
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    assert [refusal.code for refusal in refusals] == ["quota_exceeded"] * 7
    assert Message.objects.filter(workspace=caller.workspace).count() == 5
    assert Counters.objects.get(workspace=caller.workspace).month_messages == 50


def test_the_quota_starts_anew_with_the_calendar_month(call: Surface, anna: Caller, clock: Clock) -> None:
    use_up(anna, 100)
    ends_at = product_clock.month_ends_at(clock.now())
    clock.forward(seconds=(ends_at - clock.now() - timedelta(minutes=1)).total_seconds())
    call.refused(anna, SEND, "quota_exceeded", sender="ann", content="x")
    clock.forward(minutes=2)
    call.ok(anna, SEND, sender="ann", content="x")
    counters = Counters.objects.get(workspace=anna.workspace)
    assert (counters.month, counters.month_messages) == (product_clock.month_of(clock.now()), 1)


def test_a_plan_change_holds_from_the_next_call(call: Surface, anna: Caller) -> None:
    use_up(anna, 100)
    call.refused(anna, SEND, "quota_exceeded", sender="ann", content="x")
    change_plan(anna, "starter")
    call.ok(anna, SEND, sender="ann", content="x")
    change_plan(anna, "free")
    assert call.refused(anna, SEND, "quota_exceeded", sender="ann", content="x").details["used"] == 101
    change_plan(anna, "free", messages=102)
    call.ok(anna, SEND, sender="ann", content="x")
    assert call.refused(anna, SEND, "quota_exceeded", sender="ann", content="x").details["limit"] == 102
    change_plan(anna, "unlimited")
    call.ok(anna, SEND, sender="ann", content="x")


def test_a_quota_of_nothing_refuses_everything(call: Surface, anna: Caller) -> None:
    change_plan(anna, "free", messages=0)
    assert call.refused(anna, SEND, "quota_exceeded", sender="ann", content="x").details["limit"] == 0


# --- what is counted --------------------------------------------------------------------------------------------


def test_each_stored_message_is_counted_once_for_its_sender_and_day(call: Surface, alice: Caller, clock: Clock) -> None:
    noon = (clock.now() + timedelta(days=1)).replace(hour=12, minute=0)
    clock.forward(seconds=(noon - clock.now()).total_seconds())
    today, tomorrow = noon.date(), noon.date() + timedelta(days=1)
    for _ in range(2):
        call.ok(alice, SEND, sender="ann", content="x", idempotency_key="k")  # the second is a retry
    call.ok(alice, SEND, sender="bo", content="x", channel="c")
    call.refused(alice, SEND, "not_found", sender="bo", content="x", in_reply_to=9)
    clock.forward(hours=13)
    for _ in range(3):
        call.ok(alice, SEND, sender="ann", content="x")
    rows = UsageDay.objects.filter(workspace=alice.workspace).order_by("day", "instance")
    assert list(rows.values_list("day", "instance", "messages")) == [
        (today, "ann", 1),
        (today, "bo", 1),
        (tomorrow, "ann", 3),
    ]


def test_usage_and_channels_tell_what_was_stored(call: Surface, anna: Caller) -> None:
    for channel in ("general", "c", "c"):
        call.ok(anna, SEND, sender="ann", content="x", channel=channel)
    usage = call.ok(anna, "whoami")["usage"]
    assert usage["messages"] == {"used": 3, "limit": 100, "left": 97}
    assert usage["channels"] == {"used": 2, "limit": 3, "left": 1}
    assert usage["instances"] == {"used": 1, "limit": 2, "left": 1}
    listed = call.ok(anna, "list_channels")["channels"]
    assert [(each["name"], each["message_count"]) for each in listed] == [("c", 2), ("general", 1)]


# --- channels ---------------------------------------------------------------------------------------------------


def test_sending_into_a_new_channel_obeys_the_channel_limit(call: Surface, anna: Caller) -> None:
    for channel in ("two", "three", "three", "general"):
        call.ok(anna, SEND, sender="ann", content="x", channel=channel)
    before = stored(anna)
    refusal = call.refused(anna, SEND, "limit_reached", sender="bo", content="x", channel="four", idempotency_key="k")
    assert refusal.details == {"plan": "free", "limit": 3, "used": 3, "upgrade_url": upgrade_url(anna.workspace.slug)}
    assert upgrade_url(anna.workspace.slug) in refusal.message
    assert refusal.status in (429, None)
    assert stored(anna) == before
    call.ok(anna, SEND, sender="ann", content="x", channel="Two")
    change_plan(anna, "starter")
    call.ok(anna, SEND, sender="ann", content="x", channel="four")
    change_plan(anna, "free")
    call.ok(anna, SEND, sender="ann", content="x", channel="four")  # what exists stays usable
    call.refused(anna, SEND, "limit_reached", sender="ann", content="x", channel="five")


def test_parallel_sends_into_new_channels_make_as_many_as_are_left(call: Surface, anna: Caller) -> None:
    asked = [call.start(anna, SEND, sender="ann", content="x", channel=f"c{number}") for number in range(8)]
    answers = [answer.result(60) for answer in asked]
    assert sorted(answer.code for answer in answers if isinstance(answer, Refusal)) == ["limit_reached"] * 6
    assert Channel.objects.filter(workspace=anna.workspace).count() == 3


def test_sending_into_an_archived_channel_brings_it_back_if_the_limit_allows(call: Surface, anna: Caller) -> None:
    for channel in ("two", "three"):
        call.ok(anna, SEND, sender="ann", content="x", channel=channel)
    Channel.objects.filter(workspace=anna.workspace, name="three").update(archived_at=product_clock.now())
    call.ok(anna, SEND, sender="ann", content="x", channel="four")
    call.refused(anna, SEND, "limit_reached", sender="ann", content="x", channel="three")
    Channel.objects.filter(workspace=anna.workspace, name="two").update(archived_at=product_clock.now())
    call.ok(anna, SEND, sender="ann", content="x", channel="three")
    assert Channel.objects.get(workspace=anna.workspace, name="three").archived_at is None


def test_a_paused_channel_takes_nothing(call: Surface, alice: Caller) -> None:
    call.ok(alice, SEND, sender="ann", content="x", channel="c")
    Channel.objects.filter(workspace=alice.workspace, name="c").update(paused_at=product_clock.now())
    before = stored(alice)
    refusal = call.refused(alice, SEND, "paused", sender="bo", content="x", channel="c")
    assert refusal.status in (409, None)
    assert stored(alice) == before


# --- places -----------------------------------------------------------------------------------------------------


def test_an_unseen_sender_is_refused_and_told_who_holds_the_places(call: Surface, anna: Caller, clock: Clock) -> None:
    began = clock.now()
    call.ok(anna, SEND, sender="ann", content="x")
    clock.forward(minutes=10)
    call.ok(anna, SEND, sender="bo", content="x")
    before = stored(anna)
    refusal = call.refused(anna, SEND, "limit_reached", sender="cy", content="x", channel="new", idempotency_key="k")
    places = refusal.details["places"]
    assert list(places) == ["ann", "bo"]
    assert product_clock.iso(began + timedelta(minutes=30)) <= places["ann"] < places["bo"]
    assert refusal.details.pop("resets_at") == places["ann"]
    assert refusal.details | {"places": {}} == {
        "plan": "free",
        "limit": 2,
        "used": 2,
        "upgrade_url": upgrade_url(anna.workspace.slug),
        "places": {},
    }
    assert all(
        part in refusal.message
        for part in ('"ann"', '"bo"', places["ann"], places["bo"], upgrade_url(anna.workspace.slug))
    )
    assert stored(anna) == before


def test_a_place_is_free_again_after_30_minutes_for_known_and_unknown_alike(
    call: Surface, anna: Caller, clock: Clock
) -> None:
    for sender in ("ann", "bo"):
        call.ok(anna, SEND, sender=sender, content="x")
    clock.forward(minutes=29)
    call.refused(anna, SEND, "limit_reached", sender="cy", content="x")
    clock.forward(minutes=2)
    for sender in ("cy", "dee"):
        call.ok(anna, SEND, sender=sender, content="x")
    call.refused(anna, SEND, "limit_reached", sender="ann", content="x")
    call.ok(anna, "unregister", instance_id="dee")
    call.ok(anna, SEND, sender="ann", content="x")
    change_plan(anna, "starter")
    call.ok(anna, SEND, sender="bo", content="x")


def test_who_keeps_sending_keeps_the_place(call: Surface, anna: Caller, clock: Clock) -> None:
    for _ in range(3):
        for sender in ("ann", "bo"):
            call.ok(anna, SEND, sender=sender, content="x")
        clock.forward(minutes=20)
    call.refused(anna, SEND, "limit_reached", sender="cy", content="x")


def test_parallel_newcomers_take_as_many_places_as_there_are(call: Surface, anna: Caller) -> None:
    asked = [call.start(anna, SEND, sender=f"s{number}", content="x") for number in range(8)]
    answers = [answer.result(60) for answer in asked]
    assert sorted(answer.code for answer in answers if isinstance(answer, Refusal)) == ["limit_reached"] * 6
    assert len(stored(anna)["instances"]) == 2
