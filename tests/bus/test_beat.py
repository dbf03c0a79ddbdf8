"""No wake-up is lost: who begins to wait looks after it can be woken, and the beat finds what nobody was told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bus import conversing, waiting
from bus.hot import Beat
from bus.models import Wait
from bus.services import endings, messages, waits
from crosswire.lib import executor, watch
from tests.bus.waiters import SOON, WAIT, answered, begin, present, unheard, until
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import ids, principal_of, seed
from tests.support.surfaces import Surface

ONE = pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)
BOTH = pytest.mark.parametrize("call", ["mcp-2026-07-28", "lane"], indirect=True)


@pytest.fixture(autouse=True)
def _no_beat_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BEAT_SECONDS", 3_600.0)
    monkeypatch.setattr(waiting, "CALM_BEAT_SECONDS", 3_600.0)
    monkeypatch.setattr(watch, "SECONDS", 3_600.0)


def beat() -> None:
    waiting.room.compare(waits.beat(waiting.PROCESS))


def wait_for(call: Surface, caller: Caller, **arguments: Any) -> Any:
    if call.is_mcp:
        return begin(call, caller, WAIT, **arguments)
    return begin(call, caller, "check_messages", wait=40, **arguments)


@BOTH
def test_a_message_nobody_was_told_of_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = wait_for(call, alice, instance_id="ann")
    with unheard():
        (number,) = seed(alice, ["x"])
    assert not waited.done()
    beat()
    assert ids(answered(waited)) == [number]


@BOTH
def test_a_channel_made_unheard_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = wait_for(call, alice, instance_id="ann", channel="to-come")
    with unheard():
        (number,) = seed(alice, ["x"], channel="to-come")
    beat()
    assert ids(answered(waited)) == [number]


@pytest.mark.parametrize("call", ["lane"], indirect=True)
def test_an_onlookers_message_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = wait_for(call, alice)
    with unheard():
        (number,) = seed(alice, ["x"])
    beat()
    assert ids(answered(waited)) == [number]


@BOTH
def test_a_waiting_inboxs_message_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, "inbox", instance_id="ann", wait=40)
    with unheard():
        (number,) = seed(alice, ["x"], channel="elsewhere")
    beat()
    assert ids(answered(waited)) == [number]


@ONE
def test_the_beat_wakes_nobody_for_what_is_its_own_or_was_looked_at(call: Surface, alice: Caller) -> None:
    seed(alice, ["history"])
    waited = begin(call, alice, instance_id="ann")
    (waiter,) = present(alice)
    until(lambda: waiter.newest == 1, "the wait has not looked")
    with unheard():
        seed(alice, ["mine"], sender="ann")
        seed(alice, ["elsewhere"], channel="other")
    assert [each.newest for each in waits.beat(waiting.PROCESS) if each.token == waiter.token] == [1]
    seed(alice, ["x"])
    answered(waited)


@ONE
def test_an_end_nobody_was_told_of_is_found_by_the_beat(call: Surface, alice: Caller) -> None:
    waited = begin(call, alice, instance_id="ann")
    with unheard():
        endings.end(Wait.objects.filter(workspace=alice.workspace), "superseded")
    beat()
    assert answered(waited)["ended"] == "superseded"


@ONE
def test_the_beat_says_that_a_wait_lives(call: Surface, alice: Caller, clock: Any) -> None:
    waited = begin(call, alice, instance_id="ann")
    for _ in range(2):
        clock.forward(seconds=20)
        beat()
    (row,) = call.ok(alice, "list_instances")["instances"]
    assert row["waiting_on"] == ["general"]
    seed(alice, ["x"])
    answered(waited)


async def test_the_beat_goes_on_while_somebody_waits_and_ends_with_the_last(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "CALM_BEAT_SECONDS", 0.01)
    principal = await executor.run(principal_of, make_workspace("unlimited"))
    for channel in ("one", "two"):
        arguments: dict[str, Any] = {"channel": channel, "instance_id": "ann", "persistent": False}
        waited = asyncio.create_task(conversing.wait_for_reply(principal, timeout_seconds=SOON, **arguments))
        rows = Wait.objects.filter(workspace=principal.workspace_id)
        while not await executor.run(rows.exists):
            assert not waited.done()
        beats = waiting.room._beats[asyncio.get_running_loop()]
        with unheard():
            await executor.run(_send, principal, channel)
        assert (await waited)["ended"] == "message"
        async with asyncio.timeout(SOON):
            await beats


def _send(principal: Any, channel: str) -> None:
    messages.send(principal.calling("tests/1"), channel=channel, sender="bo", content="x")


async def test_a_message_stored_while_a_wait_begins_is_never_missed(make_workspace: MakeWorkspace) -> None:
    principal = await executor.run(principal_of, make_workspace("unlimited"))
    missed = []
    for number in range(120):
        arguments: dict[str, Any] = {"channel": f"c{number}", "instance_id": "ann", "after_id": 0}
        waited = asyncio.create_task(
            conversing.wait_for_reply(principal, timeout_seconds=SOON, persistent=False, **arguments)
        )
        for _ in range(number % 12):
            await asyncio.sleep(0)
        await executor.run(_send, principal, f"c{number}")
        if (await waited)["ended"] != "message":
            missed.append(number)
    assert missed == []
    assert not await executor.run(Wait.objects.filter(workspace=principal.workspace_id).exists)


@ONE
def test_a_wait_that_ended_is_in_nobodys_way(call: Surface, alice: Caller) -> None:
    call.ok(alice, WAIT, instance_id="ann", timeout_seconds=0, persistent=False)
    until(lambda: not present(alice), "somebody still waits")
    beat()
    waiting.room.compare([Beat("a token of nobody's", "", 10), Beat("another", "superseded", 10)])
