from __future__ import annotations

import pytest

from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import TIME, change_plan, seed
from tests.support.surfaces import REST, Surface

WHO = "whoami"


def test_the_caller_learns_who_it_is_and_what_is_used(call: Surface, alice: Caller) -> None:
    seed(alice, ["x"])
    me = call.ok(alice, WHO)
    assert set(me) == {"workspace", "key_name", "kind", "read_only", "instance", "client", "server_time", "usage"}
    assert (me["workspace"], me["key_name"], me["kind"]) == (alice.workspace.name, "first key", "workspace_key")
    assert (me["read_only"], me["instance"]) == (False, None)
    assert (me["usage"]["plan"], me["usage"]["messages"]["used"]) == ("pro", 1)
    if me.text is not None:
        assert f'Workspace "{alice.workspace.name}" on plan pro' in me.text
        assert "messages 1 of 10,000" in me.text
        assert me["usage"]["resets_at"] in me.text


def test_the_client_is_what_it_calls_itself(call: Surface, alice: Caller) -> None:
    client = call.ok(alice, WHO)["client"]
    assert client == "crosswire-tests/1" if call.name == "mcp-2026-07-28" else client.startswith("python-httpx2/")


def test_the_servers_time_is_the_one_clock_in_utc(call: Surface, alice: Caller, clock: Clock) -> None:
    clock.forward(days=400)
    before = product_clock.iso(clock.now())
    told = call.ok(alice, WHO)["server_time"]
    assert TIME.fullmatch(told)
    assert before <= told <= product_clock.iso(clock.now())


def test_a_bound_key_learns_its_instance_and_a_read_only_one_that_it_is(call: Surface, alice: Caller) -> None:
    robot = call.ok(alice.with_key("robot", read_only=True), WHO)
    assert (robot["kind"], robot["instance"], robot["read_only"]) == ("instance_key", "robot", True)
    if robot.text is not None:
        assert 'speaks for "robot" alone' in robot.text
        assert "read-only" in robot.text


def test_what_is_told_is_of_the_callers_own_workspace(call: Surface, alice: Caller, mallory: Caller) -> None:
    seed(alice, ["x"] * 3)
    assert call.ok(mallory, WHO)["usage"]["messages"]["used"] == 0
    assert alice.workspace.name not in str(call.ok(mallory, WHO).raw)


def test_a_changed_plan_is_told_at_once(call: Surface, alice: Caller) -> None:
    call.ok(alice, WHO)
    change_plan(alice, "free", messages=7)
    assert call.ok(alice, WHO)["usage"]["messages"]["limit"] == 7
    assert call.ok(alice, WHO)["usage"]["plan"] == "free"


def test_no_answer_shows_the_key(call: Surface, alice: Caller) -> None:
    assert alice.key not in str(call.ok(alice, WHO).raw)
    assert alice.key[3:] not in str(call.ok(alice, WHO).raw)


@pytest.mark.parametrize("call", REST, indirect=True)
def test_an_argument_is_refused(call: Surface, alice: Caller) -> None:
    refusal = call.refused(alice, WHO, "invalid_input", verbose="yes")
    assert refusal.message == 'there is no argument "verbose"; arguments are none.'
