"""Whatever the plan does not allow is refused alike on every surface, and allowed the moment the plan does."""

from __future__ import annotations

import pytest
from django.conf import settings

from accounts import plan_changes, services
from accounts.models import Workspace
from accounts.plans import PLANS, upgrade_url
from crosswire.lib.errors import CrossWireError
from tests.conftest import Clock, MakeWorkspace, SdkClient
from tests.support.cast import Caller, in_thread
from tests.support.clients import Mode
from tests.support.messages import change_plan, use_up
from tests.support.people import owner_of
from tests.support.refusals import tells_plan
from tests.support.surfaces import Surface

SEND = {"sender": "ann", "content": "x"}
FREE = PLANS["free"]


@pytest.fixture
def free(make_workspace: MakeWorkspace) -> Caller:
    return make_workspace("free")


def upgrade(caller: Caller, plan: str = "starter") -> None:
    in_thread(lambda: plan_changes.set_plan(Workspace.objects.get(pk=caller.workspace.pk), plan))


def test_a_message_past_the_months_quota_and_after_the_upgrade(call: Surface, free: Caller) -> None:
    use_up(free, 100)
    refusal = call.refused(free, "send_message", "quota_exceeded", **SEND)
    further = tells_plan(refusal, free, limit=100, used=100)
    assert further["resets_at"] in refusal.message
    upgrade(free)
    call.ok(free, "send_message", **SEND)


def test_a_channel_past_the_plan_and_after_the_upgrade(call: Surface, free: Caller) -> None:
    for name in ("two", "three"):
        call.ok(free, "create_channel", name=name)
    for operation, arguments in (("create_channel", {"name": "four"}), ("send_message", {**SEND, "channel": "four"})):
        tells_plan(call.refused(free, operation, "limit_reached", **arguments), free, limit=3, used=3)
    upgrade(free)
    call.ok(free, "send_message", **SEND, channel="four")


def test_an_instance_past_the_plan_is_told_when_the_first_place_frees(call: Surface, free: Caller) -> None:
    for name in ("ann", "bo"):
        call.ok(free, "register", instance_id=name)
    refusal = call.refused(free, "register", "limit_reached", instance_id="cy")
    further = tells_plan(refusal, free, limit=2, used=2)
    assert further["resets_at"] == min(further["places"].values())
    upgrade(free)
    call.ok(free, "register", instance_id="cy")


def test_shared_data_past_the_plan_is_told_when_the_oldest_item_expires(
    call: Surface, free: Caller, clock: Clock
) -> None:
    first = call.ok(free, "share_data", key="a", content="x" * 600_000, sender="ann")
    clock.forward(minutes=1)
    refusal = call.refused(free, "share_data", "limit_reached", key="b", content="x" * 500_000, sender="ann")
    assert tells_plan(refusal, free, limit=1_000_000, used=600_000) == {"resets_at": first["expires_at"]}
    upgrade(free)
    call.ok(free, "share_data", key="b", content="x" * 500_000, sender="ann")


def test_a_wait_past_the_plan(call: Surface, free: Caller) -> None:
    change_plan(free, waits=0)
    wait = {"instance_id": "ann", "wait": 1} if not call.is_mcp else {"instance_id": "ann", "timeout_seconds": 1}
    operation = "wait_for_reply" if call.is_mcp else "check_messages"
    tells_plan(call.refused(free, operation, "limit_reached", **wait), free, limit=0, used=0)


def test_a_call_past_the_rate(call: Surface, free: Caller) -> None:
    change_plan(free, calls=2)
    call.ok(free, "list_channels")
    tells_plan(call.refused(free, "list_channels", "rate_limited"), free, limit=1, used=1)


def test_a_key_past_the_plan_is_refused_with_the_way_to_more(free: Caller) -> None:
    change_plan(free, live_keys=1)
    workspace = Workspace.objects.get(pk=free.workspace.pk)
    with pytest.raises(CrossWireError) as refused:
        services.create_key(workspace, "one more")
    assert refused.value.details == {
        "plan": "free",
        "limit": 1,
        "used": 1,
        "upgrade_url": upgrade_url(workspace.slug),
    }
    answer = owner_of(free).client().post(f"/w/{workspace.slug}/keys", {"name": "one more"})
    link = f'<a href="{upgrade_url(workspace.slug)}">'
    assert link in answer.content.decode()


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_persons_message_past_the_quota_leads_to_the_plans(free: Caller, accept: str) -> None:
    use_up(free, 100)
    ada = owner_of(free)
    answer = ada.client().post(
        f"{ada.home}channels/general/",
        {"content": "x", "message_type": "message", "key": "0123456789abcdef"},
        headers={"accept": accept},
    )
    address = f"{settings.PUBLIC_URL}/w/{free.workspace.slug}/billing"
    assert answer.status_code == 429
    if accept == "text/html":
        assert f'<a href="{address}">the billing page</a>' in answer.content.decode()
    else:
        assert (answer.json()["upgrade_url"], answer.json()["code"]) == (address, "quota_exceeded")


@pytest.mark.parametrize("mode", ["2026-07-28", "2025-11-25"])
async def test_an_upgrade_is_seen_at_once_in_the_same_connection(
    free: Caller, sdk_client: SdkClient, mode: Mode
) -> None:
    in_thread(lambda: use_up(free, 99))
    async with sdk_client(free, mode) as client:
        for number in range(2):
            answer = await client.call_tool("send_message", SEND)
            assert answer.is_error == bool(number)
        upgrade(free, "pro")
        assert not (await client.call_tool("send_message", SEND)).is_error
        used = (await client.call_tool("whoami", {})).structured_content
        assert used is not None
        assert used["usage"]["plan"] == "pro"
