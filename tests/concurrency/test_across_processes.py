"""Waits and streams in one server process, and what happens in another: with Redis, without it, and when it goes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from operator import gt

import pytest
from asgiref.sync import sync_to_async

from accounts import services
from bus.models import Wait
from tests.bus.waiters import SOON, answered, begin, open_waits, until
from tests.conftest import SdkClient, Serve, SurfaceAt
from tests.mcp.tasks import Asker, messages
from tests.support.cast import Caller, Credential
from tests.support.databases import RedisServer
from tests.support.homes import Home, Run
from tests.support.messages import ids
from tests.support.servers import Program, ServerProcess, create_workspace, manage, move_clock
from tests.support.surfaces import Refusal, Result, Surface

APP = "tests.support.beatless:application"
LOST = {"CROSSWIRE_TEST_BEATS": "lost"}
"""Servers look for themselves only while they hear nobody: what comes while they do, another process told them."""
CHANNEL = "crosswire://channels/general"


@pytest.fixture(scope="module", params=["with Redis", "without Redis"])
def pair(run: Run, database: None, request: pytest.FixtureRequest) -> Iterator[list[ServerProcess]]:
    """Two servers on one database. On SQLite there is no Redis either way: once, they watch the file."""
    has_redis = request.param == "with Redis"
    env = LOST if has_redis else {**LOST, "REDIS_URL": ""}
    with ServerProcess(run.home, app=APP, env=env) as one, ServerProcess(run.home, app=APP, env=env) as other:
        yield [one, other]


@pytest.fixture
def calls(pair: list[ServerProcess], surface_at: SurfaceAt) -> list[Surface]:
    """MCP at the first, REST at the second."""
    return [surface_at("mcp-2026-07-28", pair[0].url), surface_at("lane", pair[1].url)]


@pytest.fixture
def ann(calls: list[Surface], alice: Caller) -> Caller:
    """Alice, after an instance `ann` has registered: whatever comes now is new to it."""
    calls[1].ok(alice, "register", instance_id="ann", client="crosswire-tests")
    return alice


# --- waking and ending ------------------------------------------------------------------------------------------


def test_a_message_at_one_server_wakes_who_waits_at_the_other(calls: list[Surface], ann: Caller) -> None:
    one, other = calls
    waited = begin(one, ann, instance_id="ann")
    sent = other.ok(ann, "send_message", sender="bo", content="x")
    assert sent["recipients"] == 1
    assert ids(answered(waited)) == [sent["id"]]
    waited = begin(other, ann, "inbox", instance_id="cleo", wait=40)
    sent = one.ok(ann, "send_message", sender="bo", content="y")
    assert ids(answered(waited)) == [sent["id"]]


def test_a_wait_ends_by_what_is_done_at_the_other_server(calls: list[Surface], ann: Caller) -> None:
    one, other = calls
    older = begin(one, ann, instance_id="ann")
    newer = begin(other, ann, "check_messages", instance_id="ann", wait=40)
    assert answered(older)["ended"] == "superseded"
    newest = begin(one, ann, instance_id="ann")
    assert answered(newer)["ended"] == "superseded"
    other.ok(ann, "register", instance_id="ann", client="another/1", takeover=True)
    assert answered(newest)["ended"] == "superseded"
    waited = begin(one, ann, instance_id="ann")
    other.ok(ann, "unregister", instance_id="ann")
    assert answered(waited)["ended"] == "unregistered"


def test_a_name_that_waits_at_the_other_server_is_taken(calls: list[Surface], ann: Caller) -> None:
    one, other = calls
    waited = begin(one, ann, instance_id="ann")
    other.refused(ann, "register", "instance_in_use", instance_id="ann", client="another/1")
    other.ok(ann, "send_message", sender="bo", content="x")
    answered(waited)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_both_servers_that_are_asked_for_one_task_are_told(
    pair: list[ServerProcess], calls: list[Surface], ann: Caller, is_cancelled: bool
) -> None:
    askers = [Asker(server.url, ann) for server in pair]
    task = askers[0].begin(instance_id="ann")
    answers, seen = [], {""}
    for asker in askers:
        answers.append(asker.ask(task))
        until(lambda: process_of(task) not in seen, "nobody asks")
        seen.add(process_of(task))
    if is_cancelled:
        askers[1].cancel(task)
        assert [answer.result(SOON)["status"] for answer in answers] == ["cancelled"] * 2
    else:
        number = calls[1].ok(ann, "send_message", sender="bo", content="x")["id"]
        assert [messages(answer.result(SOON)) for answer in answers] == [[number]] * 2


def process_of(task: str) -> str:
    """Return which process was asked for a task last."""
    return Wait.objects.get(token=task).process


# --- the right to call ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["a command", "this process", "suspension"])
async def test_what_is_open_under_a_key_ends_at_both_servers(
    run: Run, pair: list[ServerProcess], calls: list[Surface], ann: Caller, sdk_client: SdkClient, how: str
) -> None:
    mine = await sync_to_async(ann.with_key)()
    waits = [
        await sync_to_async(begin)(calls[0], mine, instance_id="ann"),
        await sync_to_async(begin)(calls[1], mine, "inbox", instance_id="bo", wait=40),
    ]
    async with (
        sdk_client(mine, url=pair[0].url) as client,
        sdk_client(mine, url=pair[1].url) as other,
        client.listen(resource_subscriptions=[CHANNEL]) as stream,
        other.listen(resource_subscriptions=[CHANNEL]) as beside,
    ):
        await sync_to_async(take_away)(run, mine, how)
        for waited in waits:
            refusal = await sync_to_async(waited.result)(SOON)
            assert isinstance(refusal, Refusal), refusal
            assert refusal.code == ("suspended" if how == "suspension" else "unauthorized")
        async with asyncio.timeout(SOON):
            assert [event async for event in stream] == [event async for event in beside] == []
    await sync_to_async(until)(lambda: not open_waits(ann), "a row stays")
    for call in calls:
        await sync_to_async(until)(partial(is_refused, call, mine), "the key still works")


def take_away(run: Run, caller: Caller, how: str) -> None:
    from tests.bus.test_access_ends import key_of  # noqa: PLC0415 - pytest would collect its tests here

    if how == "a command":
        manage(run.home, "revoke_key", caller.key[:11])
    elif how == "suspension":
        services.suspend(caller.workspace, "unpaid")
    else:
        services.revoke_key(key_of(caller))


def is_refused(call: Surface, caller: Caller) -> bool:
    return isinstance(call(caller, "list_channels"), Refusal)


# --- Redis comes and goes ---------------------------------------------------------------------------------------


@dataclass
class Fleet:
    """Two servers on this process's database, with a Redis of their own to do away with."""

    redis: RedisServer
    servers: list[ServerProcess]
    calls: list[Surface]

    def times(self, event: str) -> list[int]:
        """Return how often each server's log has an event."""
        return [server.log.count(event) for server in self.servers]

    def until_more(self, event: str, before: list[int]) -> None:
        """Return once each server has logged it again. Busy machines make it twice."""
        until(lambda: all(map(gt, self.times(event), before)), f"there is no new {event}")


@pytest.fixture(scope="module")
def own_redis(run: Run, database: None) -> Iterator[tuple[RedisServer, list[ServerProcess]]]:
    with ExitStack() as running:
        redis = RedisServer.start()
        running.callback(redis.stop)
        env = {**LOST, "REDIS_URL": redis.url}
        yield redis, [running.enter_context(ServerProcess(run.home, app=APP, env=env)) for _ in range(2)]


@pytest.fixture
def fleet(own_redis: tuple[RedisServer, list[ServerProcess]], surface_at: SurfaceAt) -> Fleet:
    redis, servers = own_redis
    return Fleet(redis, servers, [surface_at("mcp-2025-11-25", server.url) for server in servers])


@pytest.mark.home("postgres")
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_redis_goes_and_comes_back_and_nobody_misses_anything(fleet: Fleet, alice: Caller, how: str) -> None:
    one, other = fleet.calls
    last = 0

    def wait() -> Future[Result | Refusal]:
        return begin(one, alice, instance_id="ann", after_id=last)

    def wakes(waited: Future[Result | Refusal]) -> None:
        nonlocal last
        last = other.ok(alice, "send_message", sender="bo", content="x")["id"]
        assert ids(answered(waited)) == [last]

    one.ok(alice, "register", instance_id="ann")
    fleet.until_more("hub_connected", [0, 0])
    connected, away = fleet.times("hub_connected"), fleet.times("hub_away")
    wakes(wait())
    waited = wait()
    with gone(fleet.redis, how):
        wakes(waited)
        wakes(wait())
        waited = wait()
        fleet.until_more("hub_away", away)
    fleet.until_more("hub_connected", connected)
    wakes(waited)
    wakes(wait())


@contextmanager
def gone(redis: RedisServer, how: str) -> Iterator[None]:
    """Have Redis away for a while: killed, or there and silent."""
    if how == "killed":
        redis.kill()
        yield
        redis.restart()
        return
    assert redis._process is not None
    os.kill(redis._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(redis._process.pid, signal.SIGCONT)


# --- a server's end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["uvicorn", "daphne"])
async def test_who_waits_at_a_server_that_stops_goes_on_at_the_other(
    run: Run, serve: Serve, surface_at: SurfaceAt, alice: Caller, sdk_client: SdkClient, program: Program
) -> None:
    stopping, staying = serve(run.home, program), serve(run.home, program)
    one, rest, other = (
        surface_at("mcp-2026-07-28", stopping.url),
        surface_at("drf", stopping.url),
        surface_at("lane", staying.url),
    )
    await sync_to_async(other.ok)(alice, "register", instance_id="ann")
    await sync_to_async(hang_up)(stopping, alice)
    waits = [
        await sync_to_async(begin)(one, alice, instance_id="ann"),
        await sync_to_async(begin)(rest, alice, "inbox", instance_id="ann", wait=40),
    ]
    beside = await sync_to_async(begin)(other, alice, "check_messages", instance_id="bo", wait=40)
    async with (
        sdk_client(alice, url=stopping.url) as client,
        client.listen(resource_subscriptions=[CHANNEL]) as stream,
    ):
        stopped = asyncio.create_task(asyncio.to_thread(stopping.stop))
        async with asyncio.timeout(SOON):
            assert [event async for event in stream] == []
        ends = [await sync_to_async(answered)(waited) for waited in waits]
        assert [answer["ended"] for answer in ends] == ["restart", "restart"]
        await stopped
    assert await sync_to_async(who_waits)(alice) == ["bo"]
    sent = await sync_to_async(other.ok)(alice, "send_message", sender="cleo", content="meanwhile")
    again = await sync_to_async(other.ok)(
        alice, "check_messages", instance_id="ann", wait=40, after_id=ends[0]["resume_after_id"]
    )
    assert ids(again) == [sent["id"]]
    assert ids(await sync_to_async(answered)(beside)) == [sent["id"]]


def hang_up(server: ServerProcess, caller: Caller) -> None:
    """Begin a wait in each way there is and leave it: nothing stays."""
    from tests.bus.test_wait_hang_up import REQUESTS, send_request  # noqa: PLC0415 - pytest would collect its tests here

    for name, request in REQUESTS.items():
        connection = send_request(server.url, caller, request)
        until(lambda: len(open_waits(caller)) == 1, f"the wait does not begin: {name}")
        connection.close()
        until(lambda: not open_waits(caller), f"the wait goes on without its client: {name}")


def who_waits(caller: Caller) -> list[str]:
    rows = Wait.objects.filter(workspace=caller.workspace, ended_at=None)
    return list(rows.values_list("instance__name", flat=True))


def test_who_waited_at_a_server_that_was_killed_is_not_there_for_long(
    make_home: Callable[[], Home], serve: Serve, surface_at: SurfaceAt
) -> None:
    home = make_home()
    dying, staying = serve(home), serve(home)
    caller = Credential(create_workspace(home))
    one, other = surface_at("lane", dying.url), surface_at("lane", staying.url)

    def waiting_on() -> list[str]:
        rows = other.ok(caller, "list_instances")["instances"]
        return next((row["waiting_on"] for row in rows if row["instance_id"] == "ann"), [])

    one.start(caller, "check_messages", instance_id="ann", wait=40)
    until(lambda: waiting_on() == ["general"], "the wait does not begin")
    dying.kill()
    assert waiting_on() == ["general"]
    move_clock(home, timedelta(seconds=31))
    until(lambda: waiting_on() == [], "it still seems to wait")
    assert other.ok(caller, "send_message", sender="bo", content="x")["recipients"] == 0
    move_clock(home, timedelta(seconds=60))
    assert "waits: 1" in manage(home, "prune")
