from __future__ import annotations

import pytest

from bus.models import Channel, Counters
from crosswire.lib import clock as product_clock
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, seed
from tests.support.surfaces import MCP, REST, Result, Surface

FIGURES = ("messages", "instances", "channels", "data_bytes")


def usage(call: Surface, caller: Caller) -> Result:
    """Return the figures as REST's own call has them, on MCP as a part of `whoami`."""
    if not call.is_mcp:
        return call.ok(caller, "usage")
    answer = call.ok(caller, "whoami")
    figures = answer["usage"]
    answer.clear()
    answer.update(figures)
    return answer


@pytest.mark.parametrize("call", MCP, indirect=True)
def test_it_is_no_tool_of_its_own(call: Surface, alice: Caller) -> None:
    tools = call.request(alice, "tools/list")
    assert isinstance(tools, Result)
    assert "usage" not in {tool["name"] for tool in tools["tools"]}


@pytest.mark.parametrize("call", REST, indirect=True)
def test_whoami_holds_the_same_figures(call: Surface, alice: Caller) -> None:
    assert call.ok(alice, "whoami")["usage"] == call.ok(alice, "usage").data


def test_a_new_workspace_has_used_its_general_channel_alone(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    told = usage(call, free)
    assert told.pop("resets_at") == product_clock.iso(product_clock.month_ends_at(product_clock.now()))
    assert told.pop("upgrade_url").endswith("/billing")
    assert told.data == {
        "workspace": free.workspace.name,
        "plan": "free",
        "messages": {"used": 0, "limit": 100, "left": 100},
        "instances": {"used": 0, "limit": 2, "left": 2},
        "channels": {"used": 1, "limit": 3, "left": 2},
        "data_bytes": {"used": 0, "limit": 1_000_000, "left": 1_000_000},
        "retention_days": 7,
        "calls_per_minute": 120,
    }


def test_every_use_is_counted(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    call.ok(free, "send_message", channel="new", sender="a", content="x")
    call.ok(free, "share_data", key="k", content="ää", sender="b")
    told = usage(call, free)
    assert {name: told[name]["used"] for name in FIGURES} == {
        "messages": 1,
        "instances": 2,
        "channels": 2,
        "data_bytes": 4,
    }
    assert [told[name]["left"] for name in FIGURES] == [99, 0, 1, 999_996]


def test_refused_calls_cost_nothing(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    before = usage(call, free).data
    call.refused(free, "send_message", "not_found", channel="new", sender="a", content="x", in_reply_to=99)
    call.refused(free, "share_data", "too_large", key="k", content="x" * 1_000_001, sender="a")
    call.refused(free, "create_channel", "invalid_input", name="!")
    assert usage(call, free).data == before


def test_a_place_is_counted_while_it_is_held(call: Surface, alice: Caller, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        call.ok(alice, "register", instance_id=name)
    assert usage(call, alice)["instances"]["used"] == 3
    call.ok(alice, "unregister", instance_id="a")
    assert usage(call, alice)["instances"]["used"] == 2
    clock.forward(minutes=31)
    assert usage(call, alice)["instances"]["used"] == 0


def test_an_archived_channel_is_not_counted(call: Surface, alice: Caller) -> None:
    seed(alice, ["x"], channel="old")
    assert usage(call, alice)["channels"]["used"] == 2
    Channel.objects.filter(workspace=alice.workspace, name="old").update(archived_at=product_clock.now())
    assert usage(call, alice)["channels"]["used"] == 1


def test_the_count_of_messages_starts_anew_with_the_month(call: Surface, alice: Caller, clock: Clock) -> None:
    seed(alice, ["x"] * 4)
    before = usage(call, alice)
    assert before["messages"]["used"] == 4
    clock.forward(days=32)
    after = usage(call, alice)
    assert after["messages"] == {"used": 0, "limit": 10_000, "left": 10_000}
    assert after["resets_at"] > before["resets_at"]
    seed(alice, ["y"])
    assert usage(call, alice)["messages"]["used"] == 1
    assert Counters.objects.get(workspace=alice.workspace).last_number == 5


def test_an_unlimited_plan_has_no_bounds(call: Surface, make_workspace: MakeWorkspace) -> None:
    told = usage(call, make_workspace("unlimited"))
    for name in FIGURES:
        assert (told[name]["limit"], told[name]["left"]) == (None, None)
    assert (told["retention_days"], told["calls_per_minute"]) == (None, None)


def test_after_a_downgrade_nothing_is_left_and_never_less(call: Surface, alice: Caller) -> None:
    seed(alice, ["x"] * 3)
    change_plan(alice, "free", messages=2, instances=0)
    told = usage(call, alice)
    assert told["messages"] == {"used": 3, "limit": 2, "left": 0}
    assert told["instances"] == {"used": 1, "limit": 0, "left": 0}
    assert told["plan"] == "free"


def test_a_read_only_key_may_ask(call: Surface, alice: Caller) -> None:
    assert usage(call, alice.with_key(read_only=True))["plan"] == "pro"
