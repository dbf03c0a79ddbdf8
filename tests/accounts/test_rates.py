"""Calls a minute, on every surface: what counts against the plan, against a key, against an address."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from django.conf import settings

from accounts import rates
from crosswire.lib import rates as buckets
from tests.bus.waiters import answered, begin
from tests.conftest import MakeWorkspace
from tests.support import loopback
from tests.support.cast import Caller, in_thread
from tests.support.surfaces import Result, Surface, SurfaceName, refusal_in

KEY = 60
WORKSPACE = 120
"""Free's calls a minute: half of a workspace's for one key."""


class StillClock:
    """A clock for the buckets that goes on when told to: while a test spends its calls nothing fills up."""

    def __init__(self) -> None:
        self.milliseconds = buckets.milliseconds_now()

    def __call__(self) -> int:
        return self.milliseconds


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> StillClock:
    clock = StillClock()
    monkeypatch.setattr(buckets, "milliseconds_now", clock)
    return clock


@pytest.fixture
def ann(make_workspace: MakeWorkspace) -> Caller:
    return make_workspace("free")


def spend(call: Surface, caller: Caller, count: int) -> None:
    """Make so many calls, all of which succeed."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: call(caller, "list_channels"), range(count)))
    assert all(isinstance(answer, Result) for answer in answers)


def test_one_key_has_half_of_the_workspaces_calls(call: Surface, ann: Caller, still: StillClock) -> None:
    spend(call, ann, KEY)
    refusal = call.refused(ann, "list_channels", "rate_limited")
    assert refusal.details["plan"] == "free"
    assert refusal.details["limit"] == KEY
    assert refusal.details["upgrade_url"].endswith("/billing")
    assert refusal.details["retry_after"] == 1
    if not call.is_mcp:
        assert refusal.status == 429
        assert refusal.headers["retry-after"] == str(refusal.details["retry_after"])
    spend(call, ann.with_key(), WORKSPACE - KEY)
    assert call.refused(ann.with_key(), "list_channels", "rate_limited").details["limit"] == WORKSPACE
    still.milliseconds += 1_000
    call.ok(ann, "list_channels")


def test_all_surfaces_share_the_buckets(surface: Callable[[SurfaceName], Surface], ann: Caller) -> None:
    names: tuple[SurfaceName, ...] = ("mcp-2026-07-28", "mcp-2025-11-25", "lane", "drf")
    for name in names:
        spend(surface(name), ann, KEY // 4)
    for name in names:
        surface(name).refused(ann, "list_channels", "rate_limited")


def test_a_strangers_calls_cost_nobody_else_anything(call: Surface, ann: Caller, make_workspace: MakeWorkspace) -> None:
    spend(call, ann, KEY)
    call.ok(make_workspace("free"), "list_channels")


@pytest.mark.parametrize("call", ["lane"], indirect=True)
def test_an_override_replaces_the_plans_figure_and_unlimited_has_none(
    call: Surface, make_workspace: MakeWorkspace
) -> None:
    small, large = make_workspace("free"), make_workspace("unlimited")

    def override() -> None:
        small.workspace.overrides = {"calls": 4}
        small.workspace.save()

    in_thread(override)
    spend(call, small, 2)
    assert call.refused(small, "list_channels", "rate_limited").details["limit"] == 2
    spend(call, large, 300)


@pytest.mark.parametrize("call", ["mcp-2026-07-28", "mcp-2025-11-25"], indirect=True)
def test_the_protocols_own_calls_are_counted_apart(call: Surface, ann: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "PROTOCOL_CALLS", KEY + 5)
    for _ in range(KEY + 5):
        call.request(ann, "resources/list")
    response = loopback.post(
        f"{call.url}/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        headers=ann.headers | {"Accept": "application/json, text/event-stream"},
    )
    assert response.status_code == 429
    assert refusal_in(response.json())["code"] == "rate_limited"
    assert int(response.headers["retry-after"]) >= 1
    spend(call, ann, KEY)


@pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)
def test_reading_a_resource_counts_as_what_it_shows(call: Surface, ann: Caller) -> None:
    spend(call, ann, KEY - 1)
    call.request(ann, "resources/read", {"uri": "crosswire://channels"})
    call.refused(ann, "list_channels", "rate_limited")
    refused = call.request(ann, "resources/read", {"uri": "crosswire://channels"})
    assert "calls a minute" in str(refused.raw)


def test_a_wait_counts_once(call: Surface, ann: Caller) -> None:
    spend(call, ann, KEY - 2)
    if call.is_mcp:
        waiting = begin(call, ann, channel="c", instance_id="ann", timeout_seconds=30)
    else:
        waiting = begin(call, ann, "check_messages", channel="c", instance_id="ann", wait=30)
    call.ok(ann.with_key(), "send_message", channel="c", sender="bob", content="hello")
    assert answered(waiting).data["ended"] == "message"
    call.ok(ann, "list_channels")
    call.refused(ann, "list_channels", "rate_limited")


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody comes through a proxy on this machine."""
    monkeypatch.setattr(settings, "TRUSTED_PROXIES", [ipaddress.ip_network("127.0.0.1/32")])


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("path", ["/mcp", "/api/channels"])
@pytest.mark.parametrize("name", ["lane", "drf"])
@pytest.mark.parametrize("key", ["", "cw_wrong"])
def test_an_address_without_a_working_key_is_held_and_others_are_not(
    surface: Callable[[SurfaceName], Surface], name: SurfaceName, path: str, key: str, ann: Caller
) -> None:
    address = f"2001:db8:{ann.workspace.pk % 65_536:x}:{hash((name, path, key)) % 65_536:x}"

    def knock(host: str, headers: dict[str, str]) -> httpx2.Response:
        method = "POST" if path == "/mcp" else "GET"
        sent = headers | {"X-Forwarded-For": f"203.0.113.7, {host}"}
        return client.request(method, f"{surface(name).url}{path}", headers=sent)

    wrong = {"Authorization": f"Bearer {key}"} if key else {}
    with loopback.Client() as client:
        statuses = [knock(f"{address}::{number:x}", wrong).status_code for number in range(1, 61)]
        assert set(statuses) == {401}
        refused = knock(f"{address}::ffff", wrong)
        assert refused.status_code == 429, "the network is one address"
        assert refusal_in(refused.json())["code"] == "rate_limited"
        assert int(refused.headers["retry-after"]) >= 1
        assert knock("198.51.100.1", wrong).status_code == 401
        assert knock(f"{address}::1", ann.headers).status_code not in (401, 429), "a working key passes"


BAD: list[tuple[str, str, bytes]] = [
    ("POST", "/api/messages", b"{bad"),
    ("GET", "/api/whoami?a=%ff", b""),
    ("PUT", "/api/messages", b"{}"),
]


@pytest.mark.parametrize("name", ["lane", "drf"])
@pytest.mark.parametrize(("method", "path", "body"), BAD)
def test_calls_that_are_refused_count_too(
    surface: Callable[[SurfaceName], Surface], name: SurfaceName, method: str, path: str, body: bytes, ann: Caller
) -> None:
    headers = ann.headers | {"Content-Type": "application/json"}
    with loopback.Client(base_url=surface(name).url, headers=headers) as client:
        statuses = [client.request(method, path, content=body).status_code for _ in range(KEY + 1)]
    assert 429 not in statuses[:-1]
    assert statuses[-1] == 429


@pytest.mark.parametrize("call", ["mcp-2026-07-28", "mcp-2025-11-25"], indirect=True)
def test_tools_and_resources_that_are_not_there_count_too(
    call: Surface, ann: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "PROTOCOL_CALLS", 5)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nothing", "arguments": {}}}
    headers = ann.headers | {"Accept": "application/json, text/event-stream"}
    statuses = [loopback.post(f"{call.url}/mcp", json=body, headers=headers).status_code for _ in range(6)]
    assert statuses[-1] == 429
    for _ in range(KEY):
        call.request(ann, "resources/read", {"uri": "crosswire://nowhere"})
    call.refused(ann, "list_channels", "rate_limited")
