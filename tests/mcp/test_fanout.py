"""Change notices reach every process, and what nobody was told of is found by looking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated

from bus.mcp import fanout as fanout_module
from bus.mcp.fanout import fanout
from bus.models import Channel, SharedItem
from crosswire.lib import executor, hub, watch
from tests.bus.waiters import unheard, until
from tests.concurrency.traffic import Wire
from tests.conftest import SdkClient, Serve
from tests.mcp.test_listen import events
from tests.support.cast import Caller, Credential
from tests.support.homes import Home
from tests.support.messages import seed
from tests.support.servers import create_workspace

CHANNELS = "crosswire://channels"
GENERAL = f"{CHANNELS}/general"
ITEM = "crosswire://data/k"


@pytest.fixture
def _no_look_but_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(fanout, "_look_out", _never)
        patch.setattr(fanout_module, "JUST_NOW_SECONDS", 0.0)
        patch.setattr(hub, "is_connected", lambda: False)
        end_lookouts()
        yield
    end_lookouts()


def end_lookouts() -> None:
    """Have whoever listens next begin to look anew."""
    for loop, task in list(fanout._lookouts.items()):
        loop.call_soon_threadsafe(task.cancel)
    until(lambda: not fanout._lookouts, "somebody still looks")


async def _never(loop: asyncio.AbstractEventLoop) -> None:
    del loop
    await asyncio.Event().wait()


def share(caller: Caller, key: str) -> None:
    SharedItem.objects.create(workspace=caller.workspace, key=key, content="x", created_by="a", size_bytes=1)


@pytest.mark.usefixtures("_no_look_but_ours")
async def test_a_message_nobody_was_told_of_is_told_once(sdk_client: SdkClient, alice: Caller) -> None:
    await executor.run(seed, alice, ["x"], channel="other")
    uris = [GENERAL, f"{CHANNELS}/other", f"{CHANNELS}/third"]
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=uris) as stream:
        with unheard():
            await executor.run(seed, alice, ["x", "y"])
        await fanout.look()
        assert await events(stream, 1) == [ResourceUpdated(uri=GENERAL)]
        await executor.run(seed, alice, ["heard"], channel="other")
        assert await events(stream, 1) == [ResourceUpdated(uri=uris[1])]
        await fanout.look()
        await fanout.look()
        await executor.run(seed, alice, ["heard"], channel="third")
        assert await events(stream, 1) == [ResourceUpdated(uri=uris[2])]


@pytest.mark.usefixtures("_no_look_but_ours")
async def test_a_message_heard_of_after_the_look_is_not_told_again(sdk_client: SdkClient, alice: Caller) -> None:
    uris = [GENERAL, f"{CHANNELS}/other"]
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=uris) as stream:
        with unheard():
            (number,) = await executor.run(seed, alice, ["x"])
        await fanout.look()
        hub.publish("bus.channel", {"workspace": alice.workspace.pk, "channel": "general", "number": number})
        await executor.run(seed, alice, ["x"], channel="other")
        assert await events(stream, 2) == [ResourceUpdated(uri=uri) for uri in uris]


@pytest.mark.usefixtures("_no_look_but_ours")
@pytest.mark.parametrize("what", ["a channel", "an item"])
async def test_lists_that_changed_unheard_are_told(sdk_client: SdkClient, alice: Caller, what: str) -> None:
    async with (
        sdk_client(alice) as client,
        client.listen(resource_subscriptions=[ITEM], resources_list_changed=True) as stream,
    ):
        if what == "a channel":
            await executor.run(Channel.objects.create, workspace=alice.workspace, name="new")
        else:
            await executor.run(share, alice, "k")
        await fanout.look()
        found = await events(stream, 2)
        assert {type(each) for each in found} == {ResourcesListChanged, ResourceUpdated}


@pytest.mark.usefixtures("_no_look_but_ours")
async def test_one_statement_looks_for_all_workspaces(
    sdk_client: SdkClient, alice: Caller, mallory: Caller, statements: Callable[..., Any]
) -> None:
    async with (
        sdk_client(alice) as one,
        sdk_client(mallory) as two,
        one.listen(resources_list_changed=True),
        two.listen(resources_list_changed=True),
    ):
        with statements() as ran:
            await fanout.look()
        assert len([text for text in ran if "bus_counters" in text]) == 1
        assert len(ran) == 1


async def test_a_look_happens_by_itself(sdk_client: SdkClient, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.01)
    monkeypatch.setattr("bus.waiting.BEAT_SECONDS", 0.05)
    monkeypatch.setattr("bus.waiting.CALM_BEAT_SECONDS", 0.05)
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=[GENERAL]) as stream:
        with unheard():
            await executor.run(seed, alice, ["x"])
        assert await events(stream, 1) == [ResourceUpdated(uri=GENERAL)]


async def test_who_listens_just_when_nobody_was_left_is_looked_after(alice: Caller) -> None:
    async def over() -> None:
        return

    loop = asyncio.get_running_loop()
    fanout._lookouts[loop] = ended = loop.create_task(over())
    await ended  # what it leaves behind is tidied up only later
    async with fanout.inside(alice.workspace.pk):
        assert not fanout._lookouts[loop].done()
        fanout._lookouts[loop].cancel()


# --- several processes ------------------------------------------------------------------------------------------


async def send(url: str, caller: Credential, **arguments: Any) -> None:
    def work() -> None:
        with Wire(url, caller) as wire:
            assert wire("send_message", sender="bo", content="x", **arguments).status == 200

    await asyncio.to_thread(work)


@pytest.mark.slow
async def test_a_stream_hears_of_what_another_process_stored(
    sdk_client: SdkClient, serve: Serve, make_home: Callable[[], Home]
) -> None:
    home = make_home()
    here, there = serve(home), serve(home)
    caller = Credential(create_workspace(home))
    uris = [GENERAL, "crosswire://inbox/ann"]
    async with sdk_client(caller, url=here.url) as client, client.listen(resource_subscriptions=uris) as stream:
        await send(there.url, caller)
        assert {each.uri for each in await events(stream, 2)} == set(uris)


@pytest.mark.slow
@pytest.mark.home("postgres")
async def test_a_stream_goes_on_hearing_while_redis_is_away(
    sdk_client: SdkClient, serve: Serve, make_home: Callable[[], Home]
) -> None:
    home = make_home()
    assert home._redis is not None
    here, there = serve(home), serve(home)
    caller = Credential(create_workspace(home))
    uris = [GENERAL, "crosswire://inbox/ann"]
    async with sdk_client(caller, url=here.url) as client, client.listen(resource_subscriptions=uris) as stream:
        await send(there.url, caller)
        assert {each.uri for each in await events(stream, 2)} == set(uris)
        home._redis.stop()
        await send(there.url, caller)
        assert {each.uri for each in await events(stream, 2)} == set(uris)
