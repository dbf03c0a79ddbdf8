"""Isolation: a stranger who knows every name, key and id of Alice's workspace finds nothing of it anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bus.models import Wait
from bus.operations import OPERATIONS
from tests.isolation.walk import findings, steps
from tests.isolation.world import Secrets
from tests.support.cast import Caller
from tests.support.messages import contents
from tests.support.processes import wait_until
from tests.support.surfaces import Result, Surface

pytestmark = pytest.mark.slow


def test_no_operation_tells_a_stranger_anything(call: Surface) -> None:
    assert not (found := list(findings(lambda hers: steps(call, hers)))), "\n\n".join(found[:5])


def test_the_walk_gets_through_the_arguments_of_every_operation(call: Surface) -> None:
    codes: dict[str, set[str]] = {}
    for step in steps(call, Secrets.new()):
        codes.setdefault(step.what.split(": ")[1].split()[0], set()).add(step.code)
    offered = {name for name, each in OPERATIONS.items() if (each.is_tool if call.is_mcp else each.http)}
    assert set(codes) == offered
    blind = [name for name, met in codes.items() if met <= {"invalid_input", "wrong_instance", "read_only_key"}]
    assert not blind, f"no call of these gets past its arguments: {blind}"


def test_a_strangers_wait_on_a_channel_of_the_same_name_hears_only_her_own(
    call: Surface, alice: Caller, mallory: Caller
) -> None:
    channel = "the-same-name"
    for caller in (alice, mallory):
        call.ok(caller, "send_message", channel=channel, sender="before", content="before")
    waiting = {
        "wait_for_reply" if call.is_mcp else "check_messages": {
            "channel": channel,
            "instance_id": "waiter",
            "after_id": 1,
        },
        "inbox": {"instance_id": "reader", "ack": {channel: 1}} if call.is_mcp else {"instance_id": "reader"},
    }
    for operation, arguments in waiting.items():
        call.ok(mallory, "register", instance_id=str(arguments["instance_id"]))
        limits = {"timeout_seconds": 30} if operation == "wait_for_reply" else {"wait": 30}
        answer = call.start(mallory, operation, **arguments, **limits)
        wait_until(lambda: Wait.objects.filter(workspace=mallory.workspace).exists(), 20, lambda: "Nobody waits.")
        sent = call.ok(alice, "send_message", channel=channel, sender="alice", content="a secret")
        assert sent["recipients"] == 0
        call.ok(mallory, "send_message", channel=channel, sender="mallory", content=f"to {operation}")
        heard = answer.result(60)
        assert isinstance(heard, Result)
        assert contents(heard) == [f"to {operation}"]


def test_no_refusal_names_another_tenants_channel(call: Surface, alice: Caller, mallory: Caller) -> None:
    for nth in range(3):
        call.ok(alice, "send_message", channel="codename-falcon", sender="alice", content=f"{nth}")
    tried: dict[str, dict[str, Any]] = {
        "get_replies": {"channel": "codename-falcons", "message_id": 2},
        "send_message": {"sender": "mallory", "content": "x", "in_reply_to": 2},
        "unregister": {"instance_id": "alice"},
        "get_shared_data": {"key": "codename"},
    }
    for operation, arguments in tried.items():
        refusal = call.refused(mallory, operation, "not_found", **arguments)
        assert "codename-falcon" not in json.dumps(refusal.raw).replace("codename-falcons", ""), operation
    assert call.ok(mallory, "create_channel", name="codename-falcons")["similar"] == []
