"""A key that is revoked, expired or narrowed and a workspace that is suspended: what is open under them ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from mcp.shared.subscriptions import ResourceUpdated

from accounts import principals, services
from accounts.models import ApiKey
from bus import streams, waiting
from bus.models import Wait
from bus.services import instances, waits
from crosswire.lib import clock as product_clock
from crosswire.lib import hub, keys
from tests.bus.waiters import SOON, WAIT, answered, begin, end_by_time, open_waits, present, unheard, until
from tests.conftest import Clock, SdkClient
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.surfaces import Refusal, Result, Surface, SurfaceName

ONE = pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)
CHANNEL = "crosswire://channels/general"


def key_of(caller: Caller) -> ApiKey:
    return ApiKey.objects.select_related("workspace").get(digest=keys.digest(caller.key))


def revoke(caller: Caller) -> None:
    services.revoke_key(key_of(caller))


def suspend(caller: Caller) -> None:
    services.suspend(caller.workspace, "unpaid")


def make_read_only(caller: Caller) -> None:
    services.restrict_key(key_of(caller), is_read_only=True)


def bind(caller: Caller) -> None:
    services.restrict_key(key_of(caller), instance_id="somebody-else")


def give_name_away(caller: Caller) -> None:
    services.create_key(caller.workspace, "a key of its own", instance_id="ann")


LOSSES: dict[str, tuple[Callable[[Caller], None], str, int]] = {
    "revoked": (revoke, "unauthorized", 401),
    "suspended": (suspend, "suspended", 403),
    "read-only": (make_read_only, "read_only_key", 403),
    "bound": (bind, "wrong_instance", 403),
    "name given away": (give_name_away, "wrong_instance", 403),
}
loss = pytest.mark.parametrize("loss", LOSSES)


def wait_for(call: Surface, caller: Caller, **arguments: Any) -> Future[Result | Refusal]:
    if call.is_mcp:
        return begin(call, caller, WAIT, **arguments)
    return begin(call, caller, "check_messages", wait=40, **arguments)


def refused(waited: Future[Result | Refusal]) -> Refusal:
    answer = waited.result(SOON)
    assert isinstance(answer, Refusal), answer
    return answer


# --- waits ------------------------------------------------------------------------------------------------------


@loss
def test_a_wait_ends_with_the_refusal_a_new_call_would_get(call: Surface, alice: Caller, loss: str) -> None:
    take_away, code, status = LOSSES[loss]
    mine, theirs = alice.with_key(), alice.with_key()
    waited, inbox = wait_for(call, mine, instance_id="ann"), begin(call, mine, "inbox", instance_id="ann", wait=40)
    beside = wait_for(call, theirs, instance_id="bo")
    take_away(mine)
    for each in (waited, inbox):
        assert refused(each).code == code
        assert refused(each).status == (None if call.is_mcp else status)
    assert isinstance(call(mine, "inbox", instance_id="ann"), Refusal)
    if loss == "suspended":
        assert refused(beside).code == "suspended"
        return
    seed(theirs, ["x"])
    assert answered(beside)["ended"] == "message"


@ONE
@loss
def test_who_hears_nothing_learns_it_by_the_beat(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    take_away, code, _ = LOSSES[loss]
    mine = alice.with_key()
    waited = wait_for(call, mine, instance_id="ann")
    with unheard():
        take_away(mine)
    waiting.room.compare(waits.beat(waiting.PROCESS))
    assert refused(waited).code == code


def test_an_onlookers_wait_ends_too(surface: Callable[[SurfaceName], Surface], alice: Caller) -> None:
    mine = alice.with_key(read_only=True)
    waited = begin(surface("lane"), mine, "check_messages", wait=40)
    revoke(mine)
    assert refused(waited).status == 401


@ONE
@loss
def test_a_wait_that_begins_while_the_right_to_it_is_taken_away_is_refused(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    take_away, code, _ = LOSSES[loss]
    mine = alice.with_key()
    call.ok(mine, "register", instance_id="ann")
    arrive = instances.arrive

    def arrive_late(principal: Any, *args: Any, **more: Any) -> Any:
        with unheard():
            take_away(mine)
        return arrive(principal, *args, **more)

    monkeypatch.setattr(instances, "arrive", arrive_late)
    call.refused(mine, WAIT, code, instance_id="ann")
    assert open_waits(alice) == []
    until(lambda: not present(alice), "somebody still waits")


def test_the_end_of_one_of_its_keys_sends_a_credentials_waits_on(call: Surface, alice: Caller) -> None:
    old = alice.with_key()
    row = key_of(old)
    _, text = services.create_key(alice.workspace, "the newer one")
    ApiKey.objects.filter(digest=keys.digest(text)).update(credential=row.credential)
    new = Caller(text, alice.workspace)
    waited = wait_for(call, new, instance_id="ann")
    services.revoke_key(row)
    assert answered(waited)["ended"] == "restart"
    waited = wait_for(call, new, instance_id="ann")
    revoke(new)
    assert refused(waited).code == "unauthorized"


@pytest.mark.parametrize("call", ["mcp-2026-07-28", "lane"], indirect=True)
def test_a_wait_lasts_no_longer_than_its_key(call: Surface, alice: Caller) -> None:
    mine = alice.with_key()
    ApiKey.objects.filter(pk=key_of(mine).pk).update(expires_at=product_clock.now() + timedelta(seconds=2))
    operation, asked = (WAIT, {}) if call.is_mcp else ("check_messages", {"wait": 40})
    waited = call.start(mine, operation, instance_id="ann", **asked)  # on a slow machine it may begin too late
    assert refused(waited).code == "unauthorized"


@ONE
def test_a_key_whose_life_was_prolonged_meanwhile_is_told_to_go_on(call: Surface, alice: Caller, clock: Clock) -> None:
    mine = alice.with_key()
    ours = ApiKey.objects.filter(pk=key_of(mine).pk)
    ours.update(expires_at=clock.now() + timedelta(hours=1))
    waited = wait_for(call, mine, instance_id="ann")
    ours.update(expires_at=None)
    clock.forward(hours=2)
    end_by_time(alice)
    assert answered(waited)["ended"] == "restart"


@pytest.mark.parametrize(
    ("loss", "ended"), [("revoked", "revoked"), ("suspended", "suspended"), ("read-only", "revoked")]
)
def test_tasks_end_with_their_credential(alice: Caller, loss: str, ended: str) -> None:
    mine = alice.with_key()
    row = {"workspace": alice.workspace, "kind": Wait.Kind.TASK, "until": product_clock.now() + timedelta(hours=1)}
    Wait.objects.create(token=f"mine {mine.key}"[:40], credential=key_of(mine).credential, **row)
    Wait.objects.create(token=f"theirs {mine.key}"[:40], credential="key:another", **row)
    LOSSES[loss][0](mine)
    ends = dict(Wait.objects.filter(workspace=alice.workspace).values_list("credential", "ended"))
    assert ends == {key_of(mine).credential: ended, "key:another": ended if loss == "suspended" else ""}


def test_a_task_outlives_one_key_of_two(alice: Caller) -> None:
    mine = alice.with_key()
    row = key_of(mine)
    _, text = services.create_key(alice.workspace, "the newer one")
    ApiKey.objects.filter(digest=keys.digest(text)).update(credential=row.credential)
    until_then = product_clock.now() + timedelta(hours=1)
    task = Wait.objects.create(
        workspace=alice.workspace,
        kind=Wait.Kind.TASK,
        token=row.credential,
        credential=row.credential,
        until=until_then,
    )
    services.revoke_key(row)
    task.refresh_from_db()
    assert task.ended_at is None


# --- narrowing a key --------------------------------------------------------------------------------------------


def test_a_key_is_narrowed_and_never_widened(alice: Caller) -> None:
    row = key_of(alice.with_key())
    services.restrict_key(row, instance_id="ann")
    services.restrict_key(row, is_read_only=True)
    services.restrict_key(row)
    row.refresh_from_db()
    assert (row.kind, row.instance_id, row.is_read_only) == ("instance", "ann", True)
    for other, name in ((row, "bo"), (key_of(alice.with_key()), "ann")):
        with pytest.raises(Exception, match="key"):
            services.restrict_key(other, instance_id=name)


# --- streams ----------------------------------------------------------------------------------------------------


async def has_ended(stream: Any) -> bool:
    """Return whether a stream ends in good order."""
    async with asyncio.timeout(SOON):
        return [event async for event in stream] == []


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "name given away"])
@pytest.mark.parametrize("is_heard", [True, False], ids=["heard", "unheard"])
async def test_a_stream_ends_and_others_go_on(
    sdk_client: SdkClient, alice: Caller, monkeypatch: pytest.MonkeyPatch, loss: str, is_heard: bool
) -> None:
    monkeypatch.setattr(streams, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(streams, "RECHECK_SECONDS", 3_600.0 if is_heard else 0.05)
    monkeypatch.setattr(hub, "is_connected", lambda: is_heard)
    take_away, _, _ = LOSSES[loss]
    mine, theirs = alice.with_key(), alice.with_key()
    async with (
        sdk_client(mine) as client,
        sdk_client(theirs) as other,
        client.listen(resource_subscriptions=[CHANNEL]) as stream,
        other.listen(resource_subscriptions=[CHANNEL]) as beside,
    ):
        with nullcontext() if is_heard else unheard():
            await sync_to_async(take_away)(mine)
        assert await has_ended(stream)
        if loss == "suspended":
            assert await has_ended(beside)
            return
        await sync_to_async(seed)(theirs, ["x"])
        async with asyncio.timeout(SOON):
            assert await anext(beside) == ResourceUpdated(uri=CHANNEL)


async def test_a_stream_whose_key_was_revoked_while_it_began_ends(
    sdk_client: SdkClient, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_connected", lambda: True)
    mine = alice.with_key()
    async with sdk_client(mine) as client:
        await client.call_tool("whoami", {})
        with unheard():
            await sync_to_async(revoke)(mine)
        assert principals.recall(mine.key) is not None, "the key is remembered"
        async with client.listen(resource_subscriptions=[CHANNEL]) as stream:
            assert await has_ended(stream)


async def test_a_stream_lasts_no_longer_than_its_key(sdk_client: SdkClient, alice: Caller, clock: Clock) -> None:
    mine = alice.with_key()
    await ApiKey.objects.filter(digest=keys.digest(mine.key)).aupdate(expires_at=clock.now() + timedelta(hours=1))
    async with sdk_client(mine) as client, client.listen(resource_subscriptions=[CHANNEL]) as stream:
        clock.forward(hours=2)
        assert await has_ended(stream)


async def test_a_stream_ends_with_its_key_although_nobody_was_told(
    sdk_client: SdkClient, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_connected", lambda: True)  # but who revoked it died before it was published
    monkeypatch.setattr(streams, "CALM_RECHECK_SECONDS", 0.1)
    mine = alice.with_key()
    async with sdk_client(mine) as client, client.listen(resource_subscriptions=[CHANNEL]) as stream:
        ours = [each for each in streams._open if each.principal.workspace_id == alice.workspace.pk]
        await sync_to_async(until)(lambda: all(each.is_checked for each in ours), "nobody asks")
        with unheard():
            await sync_to_async(revoke)(mine)
        assert await has_ended(stream)


async def test_all_streams_are_asked_about_in_one_statement(
    sdk_client: SdkClient, alice: Caller, statements: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_connected", lambda: True)
    monkeypatch.setattr(streams, "TICK_SECONDS", 0.02)
    asked: list[int] = []
    refusals = principals.refusals

    def count(callers: list[principals.Principal]) -> Any:
        found = refusals(callers)
        asked.append(sum(each.workspace_id == alice.workspace.pk for each in callers))
        return found

    monkeypatch.setattr(principals, "refusals", count)
    async with (
        sdk_client(alice) as client,
        client.listen(resource_subscriptions=[CHANNEL]),
        client.listen(resource_subscriptions=[CHANNEL]),
    ):
        await sync_to_async(until)(lambda: sum(asked) == 2, "nobody asks")
        with statements("crosswire-db") as ran:
            hub.publish(principals.CREDENTIALS_CHANGED, {"workspace": alice.workspace.pk})
            await sync_to_async(until)(lambda: sum(asked) == 4, "nobody asks")
        assert asked[-1] == 2
        assert len([text for text in ran if "accounts_apikey" in text]) == 1, str(ran)
