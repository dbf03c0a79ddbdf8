"""Mutual waits in the database: what is loaded, what it costs, and the promise on workspaces of any kind."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from hypothesis import given

from accounts.models import Workspace
from bus import conversing, mutual, parties, waiting
from bus.models import Channel, ChannelSender, Counters, Cursor, Instance, Wait
from bus.services import releases
from crosswire.lib import clock, executor
from tests.bus.standstills import LISTENING, Actor, Told, expected, scenes
from tests.bus.waiters import SOON
from tests.conftest import MakeWorkspace
from tests.support import cast
from tests.support.messages import principal_of
from tests.support.properties import tried

LAST_SEQ = 7
LISTENERS = {"parked": Wait.Kind.BLOCKING, "inbox": Wait.Kind.LISTENER, "task": Wait.Kind.TASK}


@pytest.fixture
def process() -> Iterator[str]:
    """The name of a process whose waits are rows and nothing more."""
    name = secrets.token_hex(8)
    yield name
    Wait.objects.filter(process=name).delete()


def put(workspace: Workspace, process: str, actors: list[Actor]) -> None:
    """Store a scene: who waits in the process, who left traces where, who was seen."""
    now = clock.now()
    Counters.objects.get_or_create(workspace=workspace)
    places = {channel for each in actors for channel in (*each.waits, *each.traces)}
    channels = {name: Channel.objects.create(workspace=workspace, name=name, last_seq=LAST_SEQ) for name in places}
    for each in actors:
        seen_at = now - timedelta(days=1) if each.seen is None else now - timedelta(seconds=each.seen)
        instance = Instance.objects.create(
            workspace=workspace,
            name=each.name,
            last_seen_at=seen_at,
            released_at=dict.fromkeys(each.was_released, LAST_SEQ),
        )
        begun = {channel: now - timedelta(seconds=since) for channel, since in each.waits.items()}
        for channel, started_at in begun.items():
            _wait(instance, process, started_at, channel)
        if each.listens:
            role = "parked" if each.listens == "parked" else "active"
            since = now - timedelta(seconds=LISTENING)
            _wait(instance, process, since, "", kind=LISTENERS[each.listens], role=role)
        for number, (channel, minutes) in enumerate(each.traces.items()):
            _trace(channels[channel], instance, now - timedelta(minutes=minutes), is_sender=bool(number % 2))


def _wait(instance: Instance, process: str, started_at: datetime, channel: str, **fields: Any) -> None:
    fields = {"kind": Wait.Kind.BLOCKING, "role": "active"} | fields
    now = clock.now()
    Wait.objects.create(
        workspace=instance.workspace,
        token=secrets.token_hex(16),
        channel_name=channel,
        instance=instance,
        process=process,
        started_at=started_at,
        seen_at=now,
        until=now + timedelta(minutes=5),
        **fields,
    )


def _trace(channel: Channel, instance: Instance, at: datetime, *, is_sender: bool) -> None:
    own: dict[str, Any] = {"workspace": channel.workspace, "channel": channel}
    if is_sender:
        ChannelSender.objects.create(**own, sender=instance.name, last_number=1, last_at=at)
    else:
        Cursor.objects.create(**own, instance=instance, read_to=0, updated_at=at)


def told(workspace: Workspace) -> list[Told]:
    """Return who was released, as the rows tell it."""
    found: dict[str, tuple[set[str], list[str]]] = {}
    rows = Wait.objects.filter(workspace=workspace, ended="mutual").values_list(
        "instance__name", "channel_name", "arguments"
    )
    for name, channel, about in rows:
        found.setdefault(name, (set(), about["with"]))[0].add(channel)
    return [Told(name, frozenset(channels), frozenset(others)) for name, (channels, others) in found.items()]


@tried(25)
@given(scenes())
def test_whoever_is_released_in_the_database_is_whom_the_promise_names(actors: list[Actor]) -> None:
    process, workspace = secrets.token_hex(8), cast.make_workspace(name="scene").workspace
    Channel.objects.filter(workspace=workspace).delete()
    put(workspace, process, actors)
    due = expected(actors)
    try:
        assert releases.release(process) == len(due)
        assert sorted(told(workspace), key=str) == sorted(due, key=str)
        for each in due:
            instance = Instance.objects.get(workspace=workspace, name=each.name)
            assert each.channels <= {channel for channel, seq in instance.released_at.items() if seq == LAST_SEQ}
        assert releases.release(process) == 0, "whoever was released is awake now"
    finally:
        Wait.objects.filter(process=process).delete()


def test_a_ring_that_one_process_holds_in_part_is_seen_by_it(make_workspace: MakeWorkspace, process: str) -> None:
    workspace = make_workspace().workspace
    put(workspace, process, [Actor("ann", {"c": 40})])
    other = secrets.token_hex(8)
    bo = Instance.objects.create(workspace=workspace, name="bo", last_seen_at=clock.now() - timedelta(days=1))
    _wait(bo, other, clock.now() - timedelta(seconds=35), "c")
    assert releases.release(secrets.token_hex(8)) == 0
    assert releases.release(process) == 1
    assert told(workspace) == [Told("bo", frozenset({"c"}), frozenset({"ann"}))]
    Wait.objects.filter(process=other).delete()


def test_what_is_remembered_of_releases_does_not_grow_for_ever(make_workspace: MakeWorkspace, process: str) -> None:
    workspace = make_workspace().workspace
    put(workspace, process, [Actor("ann", {"c": 50}), Actor("bo", {"c": 40})])
    many = {f"c{number}": 0 for number in range(releases.REMEMBERED_MOST)}
    Instance.objects.filter(workspace=workspace, name="bo").update(released_at=many)
    assert releases.release(process) == 1
    assert Instance.objects.get(workspace=workspace, name="bo").released_at == {"c": LAST_SEQ}


# --- what it costs ----------------------------------------------------------------------------------------------


def test_a_look_is_one_statement_whoever_waits(
    make_workspace: MakeWorkspace, process: str, statements: Callable[..., Any]
) -> None:
    for number in range(3):
        awake = Actor("eve", traces={"a": 0}, seen=1)
        crowd = [Actor(f"i{each}", {"a": 40, "b": 50}) for each in range(4 * number)]
        put(make_workspace().workspace, process, [awake, *crowd])

    def look() -> int:
        try:
            return releases.release(process)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1, "my-look") as pool, statements("my-look") as ran:
        assert pool.submit(look).result(SOON) == 0
    assert len([text for text in ran if not text.startswith("PRAGMA")]) == 1, str(ran)


async def test_a_process_looks_only_while_a_party_has_waited_longer_than_the_grace(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def scenes_of(process: str, now: datetime) -> dict[int, parties.Scene]:
        looks.append(process)
        loop.call_soon_threadsafe(looked.set)
        return {}

    monkeypatch.setattr(mutual, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(parties, "scenes", scenes_of)
    principal = await executor.run(principal_of, make_workspace())
    listening = [
        asyncio.create_task(conversing.check_messages(principal, channel="c", instance_id="ann", wait=40)),
        asyncio.create_task(conversing.wait_for_reply(principal, channel="c", instance_id="bo", role="parked")),
    ]
    await _until_open(principal.workspace_id, 2)
    clock.shift(timedelta(seconds=31))
    assert not waiting.room._has_parties(clock.now() - mutual.GRACE)
    party = asyncio.create_task(conversing.wait_for_reply(principal, channel="c", instance_id="cleo"))
    await _until_open(principal.workspace_id, 3)
    assert not waiting.room._has_parties(clock.now() - mutual.GRACE)
    assert looks == []
    clock.shift(timedelta(seconds=31))
    async with asyncio.timeout(SOON):
        await looked.wait()
    assert set(looks) == {waiting.PROCESS}
    for task in (*listening, party):
        task.cancel()
    await asyncio.gather(*listening, party, return_exceptions=True)


async def test_a_release_comes_by_itself(make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutual, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(mutual, "GRACE", timedelta(seconds=0.3))
    principal = await executor.run(principal_of, make_workspace())
    tasks = []
    for name in ("ann", "bo"):
        tasks.append(asyncio.create_task(conversing.wait_for_reply(principal, channel="c", instance_id=name)))
        await _until_open(principal.workspace_id, len(tasks))
    async with asyncio.timeout(SOON):
        answer = await tasks[1]
    assert (answer["ended"], answer["with"]) == ("mutual", ["ann"])
    assert not tasks[0].done()
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until_open(workspace_id: int, count: int) -> None:
    rows = Wait.objects.filter(workspace=workspace_id, ended_at=None)
    async with asyncio.timeout(SOON):
        while await executor.run(rows.count) < count:
            pass
