"""Who gets in at /mcp: keys, hosts, origins, sizes. The same for every method and both eras."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from accounts import services
from accounts.models import ApiKey
from crosswire.lib import keys
from tests.mcp import wire
from tests.mcp.wire import NEWEST
from tests.support import loopback
from tests.support.cast import Caller, Credential
from tests.support.surfaces import MCP, Surface, SurfaceName, refusal_in

ERAS = ["2025-11-25", NEWEST]
LOCAL_PAGE = "http://localhost:5173"
FOREIGN_PAGE = "https://evil.example"

# --- keys -------------------------------------------------------------------------------------------------------


def _send(url: str, method: str, headers: dict[str, str], version: str = NEWEST) -> httpx2.Response:
    sent = wire.request(None, "tools/list", version=version)
    body = sent.body if method == "POST" else None
    with loopback.Client() as client:
        return client.request(method, f"{url}/mcp", json=body, headers=sent.headers | headers)


def _revoke(caller: Credential) -> None:
    services.revoke_key(ApiKey.objects.get(digest=keys.digest(caller.key)))


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "PUT", "HEAD"])
@pytest.mark.parametrize("key", [None, "cw_unknown", "nonsense", "cw_" + "a" * 32])
def test_every_method_asks_for_the_key(lane_url: str, method: str, key: str | None, version: str) -> None:
    response = _send(lane_url, method, {} if key is None else {"Authorization": f"Bearer {key}"}, version)
    assert response.status_code == 401
    assert method == "HEAD" or refusal_in(response.json())["code"] == "unauthorized"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"])
def test_with_a_key_only_post_is_taken(lane_url: str, alice: Caller, method: str) -> None:
    response = _send(lane_url, method, alice.headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer cw_unknown"}], ids=["no key", "a wrong key"])
def test_a_refused_client_is_not_sent_into_an_oauth_flow(lane_url: str, headers: dict[str, str]) -> None:
    """Lesson 32: a `resource_metadata` that leads nowhere makes clients try to log in."""
    for method in ("POST", "GET", "DELETE"):
        challenge = _send(lane_url, method, headers).headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert "resource_metadata" not in challenge


@pytest.mark.parametrize("name", MCP)
def test_a_revoked_key_stops_working(
    surface: Callable[[SurfaceName], Surface], alice: Caller, name: SurfaceName
) -> None:
    call, other = surface(name), alice.with_key()
    call.ok(alice, "whoami")
    _revoke(alice)
    refusal = call.refused(alice, "whoami", "unauthorized")
    assert refusal.status == 401
    assert "revoked" in refusal.message
    call.ok(other, "whoami")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_revoked_key_is_told_so_by_every_method(lane_url: str, alice: Caller, method: str) -> None:
    assert _send(lane_url, method, alice.headers).status_code == 405
    _revoke(alice)
    assert _send(lane_url, method, alice.headers).status_code == 401


@pytest.mark.parametrize("name", MCP)
def test_a_suspended_workspace_is_refused_until_it_is_resumed(
    surface: Callable[[SurfaceName], Surface], alice: Caller, name: SurfaceName
) -> None:
    call = surface(name)
    call.ok(alice, "whoami")
    services.suspend(alice.workspace, "unpaid invoice")
    refusal = call.refused(alice, "whoami", "suspended")
    assert refusal.status == 403
    assert "unpaid invoice" in refusal.message
    services.resume(alice.workspace)
    call.ok(alice, "whoami")


WAYS: dict[str, Callable[[str], tuple[dict[str, str], str]]] = {
    "Authorization": lambda key: ({"Authorization": f"Bearer {key}"}, ""),
    "X-API-Key": lambda key: ({"X-API-Key": key}, ""),
    "X-Auth-Token": lambda key: ({"X-Auth-Token": key}, ""),
    "?api_key=": lambda key: ({}, f"?api_key={key}"),
}


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("way", WAYS)
def test_a_key_may_come_in_each_of_four_ways(lane_url: str, alice: Caller, way: str, version: str) -> None:
    headers, query = WAYS[way](alice.key)
    sent = wire.call(None, "whoami", version=version)
    found = wire.result(lane_url, wire.Request(sent.headers | headers, sent.body), query=query)
    assert found["structuredContent"]["workspace"] == alice.workspace.name


@pytest.mark.parametrize(
    ("first", "second"),
    [(first, second) for position, first in enumerate(WAYS) for second in list(WAYS)[position + 1 :]],
)
def test_of_two_keys_the_first_way_counts(
    lane_url: str, alice: Caller, mallory: Caller, first: str, second: str
) -> None:
    sent = wire.call(None, "whoami")
    headers, query = WAYS[first](alice.key)
    more, other_query = WAYS[second](mallory.key)
    found = wire.result(lane_url, wire.Request(sent.headers | more | headers, sent.body), query=query or other_query)
    assert found["structuredContent"]["workspace"] == alice.workspace.name


def test_a_scheme_that_is_not_bearer_hides_no_other_key(lane_url: str, alice: Caller) -> None:
    sent = wire.call(None, "whoami").with_headers(Authorization="Basic dTpw", X_API_Key=alice.key)
    assert not wire.result(lane_url, sent)["isError"]


# --- hosts and origins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_a_foreign_host_is_misdirected(lane_url: str, alice: Caller, host: str) -> None:
    response = wire.post(lane_url, wire.request(alice, "tools/list").with_headers(Host=host))
    assert (response.status_code, response.json()["code"]) == (421, "bad_host")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_our_own_hosts_are_served_on_any_port(lane_url: str, alice: Caller, host: str) -> None:
    wire.result(lane_url, wire.request(alice, "tools/list").with_headers(Host=host))


@pytest.mark.parametrize("origin", [FOREIGN_PAGE, "null", "http://localhost.evil.example", "http://[", "file://"])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
def test_a_foreign_page_is_forbidden(lane_url: str, alice: Caller, origin: str, method: str) -> None:
    response = _send(lane_url, method, alice.headers | {"Origin": origin})
    assert (response.status_code, response.json()["code"]) == (403, "bad_origin")
    assert "access-control-allow-origin" not in response.headers


def test_a_local_page_may_read_answers_and_refusals(lane_url: str, alice: Caller) -> None:
    for headers, status in ((alice.headers, 200), ({}, 401)):
        response = _send(lane_url, "POST", headers | {"Origin": LOCAL_PAGE})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == LOCAL_PAGE
        assert "www-authenticate" in response.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in response.headers


def test_a_preflight_needs_no_key_and_names_what_clients_send(lane_url: str) -> None:
    asked = {"Origin": LOCAL_PAGE, "Access-Control-Request-Method": "POST"}
    response = _send(lane_url, "OPTIONS", asked)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == LOCAL_PAGE
    allowed = {name.strip() for name in response.headers["access-control-allow-headers"].split(",")}
    assert {
        *("authorization", "content-type", "accept", "x-api-key", "x-auth-token"),
        *("mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id"),
    } <= allowed


def test_the_preflight_of_a_foreign_page_allows_nothing(lane_url: str) -> None:
    response = _send(lane_url, "OPTIONS", {"Origin": FOREIGN_PAGE, "Access-Control-Request-Method": "POST"})
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control-")]


# --- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize(
    ("tool", "size"), [("send_message", 1_100_000), ("share_data", 31_100_000)], ids=["a message", "an item"]
)
def test_a_body_that_is_too_large_is_refused_whole(
    lane_url: str, alice: Caller, version: str, tool: str, size: int
) -> None:
    arguments = {"sender": "a", "content": "x" * size} | ({"key": "k"} if tool == "share_data" else {})
    response = wire.post(lane_url, wire.call(alice, tool, arguments, version))
    assert response.status_code == 413
    refusal = refusal_in(response.json())
    assert refusal["code"] == "too_large"
    assert refusal["limit"] < size
    assert wire.result(lane_url, wire.call(alice, "list_shared_data"))["structuredContent"] == {"items": []}


@pytest.mark.parametrize("version", ERAS)
def test_an_item_of_many_megabytes_can_be_shared(lane_url: str, alice: Caller, version: str) -> None:
    size = 9_000_000
    arguments = {"key": f"big-{version}", "sender": "a", "content": "x" * size}
    found = wire.result(lane_url, wire.call(alice, "share_data", arguments, version))
    assert found["structuredContent"]["size_bytes"] == size


def test_a_message_cannot_pass_for_an_item_to_be_large(lane_url: str, alice: Caller) -> None:
    arguments = {"sender": "a", "content": "x" * 1_100_000, "idempotency_key": "share_data"}
    assert wire.result(lane_url, wire.call(alice, "send_message", arguments))["isError"]
    found = wire.result(lane_url, wire.call(alice, "check_messages"))
    assert found["structuredContent"]["messages"] == []
