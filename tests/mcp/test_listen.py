"""`subscriptions/listen` with the official client: a workspace hears of its own resources, and of nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp.client.subscriptions import ListenNotSupportedError
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated

from bus.mcp.fanout import fanout
from tests.conftest import SdkClient
from tests.support.cast import Caller
from tests.support.processes import wait_until
from tests.support.surfaces import Surface

CHANNELS = "crosswire://channels"
SECONDS = 30


@pytest.fixture
def call(surface: Any) -> Surface:
    """REST, to make things happen beside the stream."""
    made: Surface = surface("lane")
    return made


async def events(stream: Any, number: int) -> list[Any]:
    """Return the next so many events."""
    return [await asyncio.wait_for(anext(stream), SECONDS) for _ in range(number)]


async def do(call: Surface, caller: Caller, operation: str, **arguments: Any) -> None:
    """Perform an operation without holding the event loop."""
    await asyncio.to_thread(call.ok, caller, operation, **arguments)


async def test_a_message_updates_its_channel(sdk_client: SdkClient, call: Surface, alice: Caller) -> None:
    uri = f"{CHANNELS}/general"
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=[uri]) as stream:
        assert stream.honored.resource_subscriptions == [uri]
        await do(call, alice, "send_message", sender="a", content="x")
        assert await events(stream, 1) == [ResourceUpdated(uri=uri)]


async def test_shared_data_updates_its_item_and_the_list(sdk_client: SdkClient, call: Surface, alice: Caller) -> None:
    uri = "crosswire://data/plans%2Fv1"
    async with (
        sdk_client(alice) as client,
        client.listen(resource_subscriptions=[uri], resources_list_changed=True) as stream,
    ):
        await do(call, alice, "share_data", key="other", content="x", sender="a")
        assert await events(stream, 1) == [ResourcesListChanged()]
        await do(call, alice, "share_data", key="plans/v1", content="x", sender="a")
        assert set(map(type, await events(stream, 2))) == {ResourceUpdated, ResourcesListChanged}
        await do(call, alice, "delete_shared_data", key="plans/v1")
        assert set(map(type, await events(stream, 2))) == {ResourceUpdated, ResourcesListChanged}


async def test_a_new_channel_changes_the_list(sdk_client: SdkClient, call: Surface, alice: Caller) -> None:
    async with (
        sdk_client(alice) as client,
        client.listen(resource_subscriptions=[CHANNELS], resources_list_changed=True) as stream,
    ):
        await do(call, alice, "create_channel", name="plans")
        assert set(map(type, await events(stream, 2))) == {ResourceUpdated, ResourcesListChanged}


async def test_another_workspace_is_never_heard(
    sdk_client: SdkClient, call: Surface, alice: Caller, mallory: Caller
) -> None:
    """Lesson 23: both name the same addresses, and each means its own workspace by them."""
    theirs = [f"{CHANNELS}/general", f"{CHANNELS}/plans", CHANNELS, "crosswire://data/k"]
    async with (
        sdk_client(mallory) as client,
        client.listen(resource_subscriptions=[*theirs, "crosswire://data/mine"]) as updates,
        client.listen(resource_subscriptions=[f"{CHANNELS}/general"], resources_list_changed=True) as lists,
    ):
        await do(call, alice, "send_message", sender="a", content="x")
        await do(call, alice, "send_message", sender="a", content="x", channel="plans")
        await do(call, alice, "create_channel", name="more-plans")
        await do(call, alice, "share_data", key="k", content="x", sender="a")
        await do(call, mallory, "send_message", sender="m", content="x")
        assert await events(lists, 1) == [ResourceUpdated(uri=f"{CHANNELS}/general")]
        await do(call, mallory, "share_data", key="mine", content="x", sender="m")
        heard = [event.uri for event in await events(updates, 3)]
        assert sorted(heard) == sorted([f"{CHANNELS}/general", CHANNELS, "crosswire://data/mine"])


async def test_two_streams_of_a_workspace_hear_the_same(
    sdk_client: SdkClient, call: Surface, alice: Caller, bob: Caller
) -> None:
    uri = f"{CHANNELS}/general"
    async with (
        sdk_client(alice) as first,
        sdk_client(bob) as second,
        first.listen(resource_subscriptions=[uri]) as one,
        second.listen(resource_subscriptions=[uri]) as two,
    ):
        await do(call, alice, "send_message", sender="a", content="x")
        assert await events(one, 1) == await events(two, 1) == [ResourceUpdated(uri=uri)]


@pytest.mark.parametrize(
    "uri", ["crosswire://other-workspace/inbox/bob", "crosswire://data/", "file:///etc/passwd", "nonsense"]
)
async def test_an_address_that_is_no_resource_is_refused(sdk_client: SdkClient, alice: Caller, uri: str) -> None:
    async with sdk_client(alice) as client:
        with pytest.raises(MCPError, match="Resource not found"):
            async with client.listen(resource_subscriptions=[f"{CHANNELS}/general", uri]):
                pass


async def test_an_older_client_has_no_listen(sdk_client: SdkClient, alice: Caller) -> None:
    async with sdk_client(alice, "2025-11-25") as client:
        with pytest.raises(ListenNotSupportedError):
            async with client.listen(resources_list_changed=True):
                pass


async def test_a_stream_that_ended_leaves_nothing_behind(sdk_client: SdkClient, alice: Caller) -> None:
    async with sdk_client(alice) as client:
        async with client.listen(resources_list_changed=True):
            assert alice.workspace.pk in fanout.workspaces

        def is_gone() -> bool:
            return alice.workspace.pk not in fanout.workspaces

        await asyncio.to_thread(wait_until, is_gone, SECONDS, lambda: "It is still there.")
