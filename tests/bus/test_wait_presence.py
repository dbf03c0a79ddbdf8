"""What others see of who waits, and the wait of another client under one's name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts.models import AuditEvent
from bus.models import Instance, Wait
from crosswire.lib.clock import iso
from tests.bus.waiters import answered, begin, open_waits
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import TIME, seed
from tests.support.surfaces import MCP, Surface, SurfaceName

pytestmark = pytest.mark.parametrize("call", MCP, indirect=True)


def seen(call: Surface, caller: Caller) -> dict[str, tuple[str, list[str], str]]:
    rows = call.ok(caller, "list_instances")["instances"]
    return {row["instance_id"]: (row["status"], row["waiting_on"], row["wake"]) for row in rows}


def test_who_waits_is_shown_with_where(call: Surface, alice: Caller) -> None:
    waits = [
        begin(call, alice, instance_id="ann"),
        begin(call, alice, instance_id="ann", channel="other"),
        begin(call, alice, "inbox", instance_id="bo", wait=60),
    ]
    assert seen(call, alice) == {
        "ann": ("online", ["general", "other"], "waiting"),
        "bo": ("online", ["inbox"], "waiting"),
    }
    seed(alice, ["x"])
    seed(alice, ["x"], channel="other")
    for waited in waits:
        answered(waited)
    assert {name: shown for name, shown in seen(call, alice).items() if name != "writer"} == {
        "ann": ("online", [], "poll"),
        "bo": ("online", [], "poll"),
    }


def test_who_waits_is_shown_with_since_when_and_until_when(call: Surface, alice: Caller, clock: Clock) -> None:
    waited = [
        begin(call, alice, instance_id="ann", role="parked"),
        begin(call, alice, "inbox", instance_id="ann", wait=60),
    ]
    answer = call.ok(alice, "list_instances")
    (ann,) = answer["instances"]
    first, second = ann["waits"]
    assert (first["channel"], first["kind"], first["role"]) == ("general", "wait", "parked")
    assert (second["channel"], second["kind"], second["role"]) == (None, "inbox", "active")
    assert all(TIME.fullmatch(each[name]) for each in ann["waits"] for name in ("since", "until"))
    assert first["since"] <= second["since"] <= iso(clock.now()) < first["until"]
    assert f"waits on #general (parked) since {first['since']} until {first['until']}" in str(answer.text)
    assert f"waits on its inbox since {second['since']}" in str(answer.text)
    assert '"ann" (online, waits on #general, inbox)' in str(call.ok(alice, "register", instance_id="bo").text)
    seed(alice, ["x"])
    for each in waited:
        answered(each)
    assert "reads when it looks" in str(call.ok(alice, "list_instances").text)


def test_waiting_is_a_sign_of_life_however_long_the_call_lasts(call: Surface, alice: Caller, clock: Clock) -> None:
    waited = begin(call, alice, instance_id="ann")
    clock.forward(seconds=29)
    Instance.objects.filter(workspace=alice.workspace).update(last_seen_at=clock.now().replace(year=2020))
    assert seen(call, alice)["ann"] == ("online", ["general"], "waiting")
    seed(alice, ["x"])
    answered(waited)


def test_a_wait_of_a_process_that_died_is_no_sign_of_life_for_long(
    call: Surface, alice: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.beats.beat", lambda process, now: [])
    waited = begin(call, alice, instance_id="ann")
    clock.forward(seconds=31)
    assert seen(call, alice)["ann"] == ("online", [], "poll")
    assert call.ok(alice, "send_message", sender="bo", content="x")["recipients"] == 0
    answered(waited)


def test_who_waits_keeps_the_place(call: Surface, make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("free")
    waited = begin(call, caller, instance_id="ann")
    call.ok(caller, "register", instance_id="bo")
    Instance.objects.filter(workspace=caller.workspace).update(last_seen_at="2020-01-01T00:00:00Z")
    call.ok(caller, "register", instance_id="bo")
    refusal = call.refused(caller, "register", "limit_reached", instance_id="cleo")
    assert '"ann"' in refusal.message
    seed(caller, ["x"], sender="bo")
    answered(waited)


def test_a_send_tells_how_many_others_wait_there(call: Surface, alice: Caller) -> None:
    waits = [
        begin(call, alice, instance_id="ann"),
        begin(call, alice, instance_id="bo"),
        begin(call, alice, instance_id="cleo", channel="other"),
    ]
    sent = call.ok(alice, "send_message", sender="dora", content="x")
    assert sent["recipients"] == 2
    assert sent.text is not None
    assert "2 instances wait there now" in sent.text
    assert call.ok(alice, "send_message", sender="ann", content="x", channel="other")["recipients"] == 1
    for waited in waits:
        answered(waited)
    assert call.ok(alice, "send_message", sender="dora", content="x")["recipients"] == 0


def test_a_sender_is_no_recipient_of_its_own(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, instance_id="ann")
    sent = call.ok(alice, "send_message", sender="ann", content="x")
    assert sent["recipients"] == 0
    assert call.ok(alice, "send_message", sender="bo", content="x")["recipients"] == 1
    answered(waited)


# --- the name of somebody who waits -----------------------------------------------------------------------------


def test_another_client_cannot_come_as_who_waits(
    call: Surface, surface: Callable[[SurfaceName], Surface], alice: Caller
) -> None:
    waited = begin(call, alice, instance_id="ann")
    refusal = surface("lane").refused(alice, "register", "instance_in_use", instance_id="ann", client="other/1")
    assert (refusal.status, refusal.details["free_name"]) == (409, "ann-2")
    assert "ann-2" in refusal.message
    assert "takeover" in refusal.message
    assert len(open_waits(alice)) == 1
    seed(alice, ["x"])
    assert answered(waited)["ended"] == "message"
    surface("lane").ok(alice, "register", instance_id="ann", client="other/1")


def test_the_same_client_comes_back_whatever_its_version(
    call: Surface, surface: Callable[[SurfaceName], Surface], alice: Caller
) -> None:
    waited = begin(call, alice, instance_id="ann")
    call.ok(alice, "register", instance_id="ann")
    (client,) = Wait.objects.filter(workspace=alice.workspace).values_list("client", flat=True)
    newer = f"{client.partition('/')[0].upper()}/99"
    surface("lane").ok(alice, "register", instance_id="ann", client=newer)
    seed(alice, ["x"])
    assert answered(waited)["ended"] == "message"


def test_a_takeover_ends_the_wait_and_is_recorded(
    call: Surface, surface: Callable[[SurfaceName], Surface], alice: Caller
) -> None:
    taken, kept = begin(call, alice, instance_id="ann"), begin(call, alice, instance_id="bo")
    surface("lane").ok(alice, "register", instance_id="ann", client="other/1", takeover=True)
    assert answered(taken)["ended"] == "superseded"
    event = AuditEvent.objects.get(workspace_id=alice.workspace.pk, action="instance.takeover")
    assert event.target == "ann"
    seed(alice, ["x"])
    assert answered(kept)["ended"] == "message"
