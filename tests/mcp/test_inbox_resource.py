"""`crosswire://inbox/{instance_id}`: what an instance has not read, and a notice when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated

from bus import listening, streams, waiting
from bus.mcp import listen
from bus.models import Cursor, Instance
from bus.services import waits
from crosswire.lib import executor
from tests.bus.waiters import open_waits, present, unheard, until
from tests.conftest import SdkClient
from tests.mcp.test_listen import do, events
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.surfaces import MCP, Refusal, Result, Surface, SurfaceName

ANN = "crosswire://inbox/ann"
BOTH = pytest.mark.parametrize("call", MCP, indirect=True)


@pytest.fixture
def rest(surface: Callable[[SurfaceName], Surface]) -> Surface:
    """REST, to make things happen beside the stream."""
    return surface("lane")


def read(call: Surface, caller: Caller, uri: str = ANN) -> Result | Refusal:
    return call.request(caller, "resources/read", {"uri": uri})


def text(call: Surface, caller: Caller, uri: str = ANN) -> str:
    answer = read(call, caller, uri)
    assert isinstance(answer, Result), answer
    return str(answer["contents"][0]["text"])


# --- reading ----------------------------------------------------------------------------------------------------


@BOTH
def test_it_shows_counts_by_channel_and_no_text(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    assert text(call, alice) == 'Unread by "ann": nothing.'
    seed(alice, ["a secret", "another"])
    seed(alice, ["a secret"], channel="orders")
    seed(alice, ["mine"], channel="own", sender="ann")
    assert text(call, alice) == 'Unread by "ann":\n#orders: 1\n#general: 2'


@BOTH
def test_reading_it_marks_nothing_and_is_no_sign_of_life(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, ["x"])
    Instance.objects.filter(workspace=alice.workspace, name="ann").update(last_seen_at="2020-01-01T00:00:00Z")
    before = list(Cursor.objects.filter(workspace=alice.workspace).values())
    for _ in range(2):
        assert "#general: 1" in text(call, alice)
    assert list(Cursor.objects.filter(workspace=alice.workspace).values()) == before
    assert Instance.objects.get(workspace=alice.workspace, name="ann").last_seen_at.year == 2020
    assert "#general: 1" in text(call, alice.with_key(read_only=True))


@BOTH
@pytest.mark.parametrize("uri", [ANN, "crosswire://inbox/human", "crosswire://inbox/", f"crosswire://inbox/{'x' * 81}"])
def test_an_unknown_instance_has_none(call: Surface, alice: Caller, uri: str) -> None:
    answer = read(call, alice, uri)
    assert isinstance(answer, Refusal)
    assert answer.message == "Resource not found"


@BOTH
def test_it_belongs_to_whose_key_it_is(call: Surface, alice: Caller, mallory: Caller) -> None:
    ann = alice.with_key("ann")
    call.ok(ann, "register")
    call.ok(alice, "register", instance_id="bo")
    seed(alice, ["x"])
    assert "#general: 1" in text(call, ann)
    for caller, uri in ((alice, ANN), (ann, "crosswire://inbox/bo")):
        answer = read(call, caller, uri)
        assert isinstance(answer, Refusal)
        assert answer.details["code"] == "wrong_instance"
    assert isinstance(read(call, mallory), Refusal)
    listed = call.request(ann, "resources/list")
    assert isinstance(listed, Result)
    assert ANN in [each["uri"] for each in listed["resources"]]


# --- listening --------------------------------------------------------------------------------------------------


async def test_messages_by_others_update_it_and_ones_own_do_not(
    sdk_client: SdkClient, rest: Surface, alice: Caller
) -> None:
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=[ANN]) as stream:
        await do(rest, alice, "send_message", sender="ann", content="mine")
        await do(rest, alice, "send_message", sender="bo", content="x", channel="orders")
        assert await events(stream, 1) == [ResourceUpdated(uri=ANN)]


async def test_only_subscribed_channels_update_it(sdk_client: SdkClient, rest: Surface, alice: Caller) -> None:
    both = [ANN, "crosswire://channels/orders"]
    await do(rest, alice, "create_channel", name="orders")
    await do(rest, alice, "subscribe", instance_id="ann", channel="orders")
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=both) as stream:
        await do(rest, alice, "send_message", sender="bo", content="x")
        await do(rest, alice, "send_message", sender="bo", content="x", channel="orders")
        assert {event.uri for event in await events(stream, 2)} == set(both)


async def test_who_listens_to_an_inbox_is_online_as_that_instance(
    sdk_client: SdkClient, rest: Surface, alice: Caller
) -> None:
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=[ANN]):
        (ann,) = (await asyncio.to_thread(rest.ok, alice, "list_instances"))["instances"]
        assert (ann["instance_id"], ann["status"], ann["wake"]) == ("ann", "online", "events")
    await executor.run(until, lambda: not open_waits(alice) and not present(alice), "the inbox is still followed")


async def test_nobody_listens_to_the_inbox_of_somebody_else(
    sdk_client: SdkClient, alice: Caller, mallory: Caller
) -> None:
    alice.key_for("ann")
    for caller, uri, why in (
        (alice, ANN, "belongs to a key of its own"),
        (alice, "crosswire://inbox/human", "reserved"),
    ):
        async with sdk_client(caller) as client:
            with pytest.raises(MCPError, match=why):
                async with client.listen(resource_subscriptions=[uri]):
                    pass
    async with sdk_client(mallory) as client, client.listen(resource_subscriptions=[ANN]) as stream:
        await executor.run(seed, alice, ["x"])
        await executor.run(seed, mallory, ["x"], channel="hers")
        assert await events(stream, 1) == [ResourceUpdated(uri=ANN)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.2)


async def test_a_full_workspace_says_so(sdk_client: SdkClient, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "STREAMS_MOST", 1)
    async with sdk_client(alice) as client, client.listen(resources_list_changed=True):
        with pytest.raises(MCPError, match="has 1 streams open here"):
            async with client.listen(resources_list_changed=True):
                pass


@pytest.mark.parametrize("uris", [[ANN], []], ids=["an inbox", "no resource"])
async def test_a_stream_ends_when_its_key_no_longer_works(
    sdk_client: SdkClient, alice: Caller, uris: list[str]
) -> None:
    async with (
        sdk_client(alice) as client,
        client.listen(resource_subscriptions=uris, resources_list_changed=True) as stream,
    ):
        known = [each for each in streams._open if each.principal.workspace_id == alice.workspace.pk]
        assert known
        for each in known:
            each.end("revoked")
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(stream), 30)


async def test_unregistering_ends_the_stream_that_listens_to_its_inbox(
    sdk_client: SdkClient, rest: Surface, alice: Caller
) -> None:
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=[ANN]) as stream:
        await do(rest, alice, "unregister", instance_id="ann")
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(stream), 30)


async def test_a_followed_inbox_goes_on_past_the_life_of_one_row(
    sdk_client: SdkClient, rest: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "LIFE_SECONDS", 0.1)
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=[ANN]) as stream:
        rows: set[str] = set()

        def are_two() -> bool:
            rows.update(open_waits(alice))  # there is none for a moment between the two
            return len(rows) > 1

        await executor.run(until, are_two, "the row is not made anew")
        await do(rest, alice, "send_message", sender="bo", content="x")
        assert await events(stream, 1) == [ResourceUpdated(uri=ANN)]


async def test_an_update_nobody_was_told_of_is_found_by_the_beat(sdk_client: SdkClient, alice: Caller) -> None:
    async with sdk_client(alice) as client, client.listen(resource_subscriptions=[ANN]) as stream:
        with unheard():
            await executor.run(seed, alice, ["x"])
        waiting.room.compare(await executor.run(waits.beat, waiting.PROCESS))
        assert await events(stream, 1) == [ResourceUpdated(uri=ANN)]
