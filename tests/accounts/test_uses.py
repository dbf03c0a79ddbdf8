"""What is noted of a key's use, when, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError

from accounts import principals, services, uses
from accounts.models import ApiKey
from crosswire.lib import clock as product_clock
from tests.accounts.stored_keys import key_row
from tests.conftest import Clock, SdkClient
from tests.support import loopback
from tests.support.cast import Caller, in_thread
from tests.support.surfaces import REST, Surface, SurfaceName

LANE = pytest.mark.parametrize("call", ["lane"], indirect=True)
OLDER = pytest.mark.parametrize("call", ["mcp-2025-11-25"], indirect=True)


def used(caller: Caller) -> tuple[str, str, str]:
    """Return from which client, over what and as whom a key was used last."""
    row = key_row(caller.key)
    return row.last_used_client.partition("/")[0], row.last_used_protocol, row.last_used_instance


def spoken(call: Surface) -> str:
    return "REST" if call.name in REST else f"MCP {call.name.removeprefix('mcp-')}"


def initialize(call: Surface, caller: Caller, name: str = "gemini-cli-mcp-client") -> None:
    """Begin as an older client does, which tells its name then and never again."""
    told = {"name": name, "version": "0.61.0"}
    call.request(caller, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": told})


def test_the_first_call_is_noted_at_once_with_client_protocol_and_instance(call: Surface, alice: Caller) -> None:
    assert used(alice) == ("", "", "")
    call.ok(alice, "register", instance_id="ann")
    client = "crosswire-tests" if call.name == "mcp-2026-07-28" else "python-httpx2"
    assert used(alice) == (client, spoken(call), "ann")
    assert key_row(alice.key).last_used_at is not None


def test_the_same_use_is_noted_once_a_minute(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, "register", instance_id="ann")
    first = key_row(alice.key).last_used_at
    for seconds, is_noted in ((30, False), (31, True)):
        clock.forward(seconds=seconds)
        call.ok(alice, "check_messages", instance_id="ann")
        call.ok(alice, "list_channels")
        assert (key_row(alice.key).last_used_at != first) is is_noted
        assert used(alice)[2] == "ann"


def test_a_use_that_tells_nothing_new_runs_no_statement(
    call: Surface, alice: Caller, statements: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(principals, "REMEMBERED_SECONDS", 3_600.0)
    for name in ("ann", "bo"):
        call.ok(alice, "register", instance_id=name)
    with statements() as ran:
        for name in ("ann", "bo", "ann", "bo"):
            call.ok(alice, "check_messages", instance_id=name)
        call.ok(alice, "list_channels")
    assert [each for each in ran if "accounts_apikey" in each] == []


def test_another_instance_is_noted_at_once(call: Surface, alice: Caller) -> None:
    for name in ("ann", "bo"):
        call.ok(alice, "register", instance_id=name)
        assert used(alice)[2] == name


def test_a_call_that_names_nobody_leaves_the_instance(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, "register", instance_id="ann")
    clock.forward(minutes=2)
    call.ok(alice, "whoami")
    assert used(alice)[2] == "ann"


def test_an_instance_key_speaks_as_its_instance(call: Surface, alice: Caller) -> None:
    robot = alice.with_key("robot")
    call.ok(robot, "whoami")
    assert used(robot)[2] == "robot"


@pytest.mark.parametrize("name", ["bound", "human", "human:Ada Jones", "x" * 81, "two\nlines", " a", None])
def test_a_name_that_the_key_may_not_speak_for_is_not_noted(call: Surface, alice: Caller, name: Any) -> None:
    alice.with_key("bound")
    call(alice, "check_messages", instance_id=name)
    assert used(alice)[1:] == (spoken(call), "")


def test_another_client_and_another_protocol_are_noted_at_once(
    surface: Callable[[SurfaceName], Surface], alice: Caller
) -> None:
    for call in (surface("lane"), surface("mcp-2026-07-28"), surface("mcp-2025-11-25")):
        call.ok(alice, "whoami")
        assert used(alice)[1] == spoken(call)


def test_two_that_take_turns_are_each_noted_once_a_minute(
    surface: Callable[[SurfaceName], Surface], alice: Caller, clock: Clock
) -> None:
    one, other = surface("lane"), surface("mcp-2026-07-28")
    for call in (one, other, one, other, one):
        call.ok(alice, "whoami")
    assert used(alice)[1] == spoken(other)
    clock.forward(seconds=61)
    one.ok(alice, "whoami")
    assert used(alice)[1] == spoken(one)


def test_a_call_that_is_wrong_is_a_use_and_one_that_is_refused_at_the_door_is_not(call: Surface, alice: Caller) -> None:
    call.refused(alice, "create_channel", "invalid_input")
    assert used(alice)[1] == spoken(call)
    bob = alice.with_key()
    services.revoke_key(key_row(bob.key))
    call.refused(bob, "whoami")
    assert key_row(bob.key).last_used_at is None


# --- the protocol's own calls -----------------------------------------------------------------------------------


@OLDER
def test_an_older_clients_name_stays_though_it_tells_it_once(call: Surface, alice: Caller) -> None:
    initialize(call, alice)
    assert used(alice) == ("gemini-cli-mcp-client", "MCP 2025-06-18", "")
    call.ok(alice, "register", instance_id="ann")
    assert used(alice) == ("gemini-cli-mcp-client", "MCP 2025-11-25", "ann")
    call.request(alice, "tools/list")
    assert used(alice) == ("gemini-cli-mcp-client", "MCP 2025-11-25", "ann")


@OLDER
def test_an_older_client_that_comes_after_rest_is_not_taken_for_that(
    call: Surface, alice: Caller, surface: Callable[[SurfaceName], Surface]
) -> None:
    surface("lane").ok(alice, "register", instance_id="ann")
    call.ok(alice, "whoami")
    assert used(alice) == ("python-httpx2", "MCP 2025-11-25", "")
    initialize(call, alice, "other")
    assert used(alice) == ("other", "MCP 2025-06-18", "")


@pytest.mark.parametrize("method", ["server/discover", "tools/list"])
def test_a_call_of_the_protocol_is_a_use(surface: Callable[[SurfaceName], Surface], alice: Caller, method: str) -> None:
    surface("mcp-2026-07-28").request(alice, method)
    assert used(alice) == ("crosswire-tests", "MCP 2026-07-28", "")


@pytest.mark.parametrize("mode", ["2026-07-28", "2025-11-25"])
async def test_the_official_client_is_noted_before_it_calls_a_tool(
    sdk_client: SdkClient, alice: Caller, mode: Any
) -> None:
    async with sdk_client(alice, mode) as client:
        await client.list_tools()
        assert in_thread(lambda: used(alice)) == ("mcp", f"MCP {mode}", "")
        await client.call_tool("register", {"instance_id": "ann"})
    assert in_thread(lambda: used(alice)) == ("mcp", f"MCP {mode}", "ann")


@pytest.mark.parametrize("version", ["", "latest", "2026-13-xx", "9" * 5_000])
def test_a_version_that_is_none_is_not_repeated(lane_url: str, alice: Caller, version: str) -> None:
    headers = {**alice.headers, "Content-Type": "application/json", "MCP-Protocol-Version": version}
    loopback.post(f"{lane_url}/mcp", content=b'{"jsonrpc":"2.0","id":1,"method":"ping"}', headers=headers)
    assert used(alice)[1] == "MCP"


def test_a_stream_of_events_is_a_use(lane_url: str, alice: Caller) -> None:
    with loopback.stream("GET", f"{lane_url}/api/events?instance_id=ann", headers=alice.headers, timeout=20) as stream:
        next(stream.iter_lines())
        assert used(alice) == ("python-httpx2", "REST", "ann")


# --- bounds and faults ------------------------------------------------------------------------------------------


@LANE
def test_a_name_with_each_call_is_noted_so_often_and_no_more(
    call: Surface, alice: Caller, statements: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(principals, "REMEMBERED_SECONDS", 3_600.0)
    with statements() as ran:
        for number in range(2 * uses.KINDS_MOST):
            call.ok(alice, "check_messages", instance_id=f"ann {number}")
    assert 0 < len([each for each in ran if "UPDATE" in each and "accounts_apikey" in each]) <= 2 * uses.KINDS_MOST
    assert len(uses._written[key_row(alice.key).pk]) <= 2 * uses.KINDS_MOST + 1


def test_what_is_remembered_of_keys_is_bounded(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "KEYS_MOST", 3)
    uses._written.clear()
    for caller in [alice.with_key() for _ in range(5)]:
        assert uses.is_due(principals.authenticate(caller.key), uses.Use("c", "REST", ""))
    assert len(uses._written) == 3


def test_what_another_process_wrote_is_taken_for_written(alice: Caller) -> None:
    ApiKey.objects.filter(pk=key_row(alice.key).pk).update(
        last_used_at=product_clock.now(), last_used_client="c/1", last_used_protocol="REST", last_used_instance="ann"
    )
    known = principals.authenticate(alice.key)
    assert not uses.is_due(known, uses.Use("c/1", "REST", "ann"))
    assert not uses.is_due(known, uses.Use("c/1", "REST", ""))
    assert uses.is_due(known, uses.Use("c/1", "REST", "bo"))


@LANE
def test_a_database_that_does_not_take_the_note_fails_no_call(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Any:
        raise OperationalError("database is locked")

    monkeypatch.setattr(uses, "writing", away)
    call.ok(alice, "list_channels")
    assert key_row(alice.key).last_used_at is None
    monkeypatch.undo()
    call.ok(alice, "list_channels")
    assert key_row(alice.key).last_used_at is not None


# --- somebody watches -------------------------------------------------------------------------------------------


def test_who_watches_sees_the_next_use_though_its_like_was_just_noted(
    call: Surface, alice: Caller, clock: Clock
) -> None:
    call.ok(alice, "register", instance_id="ann")
    clock.forward(seconds=5)
    since = uses.watch(alice.workspace)
    assert uses.since(alice.workspace, since) == []
    clock.forward(seconds=1)
    call.ok(alice, "check_messages", instance_id="ann")
    (row,) = uses.since(alice.workspace, since)
    assert row == key_row(alice.key)
    first = row.last_used_at
    clock.forward(seconds=1)
    call.ok(alice, "check_messages", instance_id="ann")
    assert key_row(alice.key).last_used_at == first, "it was noted once, and that will do"


def test_who_watches_sees_its_own_workspace_alone(alice: Caller, mallory: Caller) -> None:
    since = uses.watch(alice.workspace) - timedelta(seconds=1)
    uses.write(principals.authenticate(mallory.key), uses.Use("c", "REST", ""))
    assert uses.since(alice.workspace, since) == []


def test_a_browser_that_tries_a_key_is_no_client(lane_url: str, alice: Caller) -> None:
    since = uses.watch(alice.workspace)
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140"}
    loopback.get(f"{lane_url}/api/whoami", headers=alice.headers | agent)
    assert used(alice)[0] == "Mozilla"
    assert uses.since(alice.workspace, since) == []
