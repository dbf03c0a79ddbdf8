"""One address for every protocol version, with nothing to configure and no session to keep."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import PROTOCOL_VERSION_META_KEY

from tests.mcp import wire
from tests.mcp.wire import NEWEST, OLDER, VERSIONS
from tests.support import loopback
from tests.support.cast import Caller

SERVER_INFO = "io.modelcontextprotocol/serverInfo"
ANY_VERSION = [*VERSIONS, None]

# --- versions ---------------------------------------------------------------------------------------------------


def test_the_newest_protocol_is_discovered(lane_url: str, alice: Caller) -> None:
    found = wire.result(lane_url, wire.request(alice, "server/discover"))
    assert found["supportedVersions"] == [NEWEST]
    assert {"tools", "resources", "prompts"} <= found["capabilities"].keys()
    assert found["_meta"][SERVER_INFO]["name"] == "crosswire"
    assert "register" in found["instructions"]


@pytest.mark.parametrize("version", OLDER)
def test_initialize_answers_in_the_version_it_was_asked_for(lane_url: str, alice: Caller, version: str) -> None:
    found = wire.result(lane_url, wire.initialize(alice, version))
    assert found["protocolVersion"] == version
    assert found["serverInfo"]["name"] == "crosswire"
    assert {"tools", "resources", "prompts"} <= found["capabilities"].keys()


@pytest.mark.parametrize("version", ["2099-01-01", NEWEST, "1.0"])
def test_initialize_with_a_version_that_has_no_handshake_gets_the_latest_that_has(
    lane_url: str, alice: Caller, version: str
) -> None:
    assert wire.result(lane_url, wire.initialize(alice, version))["protocolVersion"] == OLDER[-1]


@pytest.mark.parametrize("version", ANY_VERSION)
def test_a_first_request_needs_no_handshake_before_it(lane_url: str, alice: Caller, version: str | None) -> None:
    tools = wire.result(lane_url, wire.request(alice, "tools/list", version=version))["tools"]
    assert {"register", "send_message", "wait_for_reply"} <= {tool["name"] for tool in tools}
    assert not wire.result(lane_url, wire.call(alice, "whoami", version=version))["isError"]


def test_all_versions_list_the_same_tools(lane_url: str, alice: Caller) -> None:
    lists = [wire.result(lane_url, wire.request(alice, "tools/list", version=version))["tools"] for version in VERSIONS]
    names = [[tool["name"] for tool in tools] for tools in lists]
    assert names[1:] == names[:-1]


def test_an_unknown_version_is_told_which_ones_there_are(lane_url: str, alice: Caller) -> None:
    response = wire.post(lane_url, wire.request(alice, "tools/list", version="2099-01-01"))
    assert response.status_code == 400
    refusal = response.json()["error"]
    assert refusal["code"] == -32022
    assert refusal["data"] == {"supported": [NEWEST], "requested": "2099-01-01"}


@pytest.mark.parametrize("missing", ["Mcp-Method", "Mcp-Name"])
def test_the_newest_protocol_wants_its_headers(lane_url: str, alice: Caller, missing: str) -> None:
    response = wire.post(lane_url, wire.call(alice, "whoami").without(missing))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == -32020


@pytest.mark.parametrize(
    "spoiled", [{"Mcp_Method": "tools/list"}, {"Mcp_Name": "register"}], ids=["another method", "another tool"]
)
def test_headers_that_contradict_the_body_are_refused(lane_url: str, alice: Caller, spoiled: dict[str, str]) -> None:
    response = wire.post(lane_url, wire.call(alice, "whoami").with_headers(**spoiled))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


def test_a_version_in_the_body_that_is_not_the_headers_is_refused(lane_url: str, alice: Caller) -> None:
    sent = wire.request(alice, "tools/list")
    sent.body["params"]["_meta"][PROTOCOL_VERSION_META_KEY] = "2099-01-01"
    assert wire.post(lane_url, sent).status_code == 400


# --- how a request may look -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ANY_VERSION)
def test_a_client_that_takes_json_alone_is_served(lane_url: str, alice: Caller, version: str | None) -> None:
    response = wire.post(lane_url, wire.call(alice, "whoami", version=version).with_headers(Accept="application/json"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["result"]["structuredContent"]["kind"] == "workspace_key"


@pytest.mark.parametrize("version", ["2025-11-25", NEWEST])
def test_a_wait_is_answered_as_json_too(lane_url: str, alice: Caller, version: str) -> None:
    arguments = {"channel": "empty", "instance_id": "a", "timeout_seconds": 0, "persistent": False}
    sent = wire.call(alice, "wait_for_reply", arguments, version).with_headers(Accept="application/json")
    answer = wire.post(lane_url, sent)
    assert answer.json()["result"]["structuredContent"]["ended"] == "time"


@pytest.mark.parametrize("accept", ["*/*", "application/json, text/*", None])
def test_a_client_that_takes_anything_is_served(lane_url: str, alice: Caller, accept: str | None) -> None:
    sent = wire.call(alice, "whoami", version="2025-06-18")
    sent = sent.without("Accept") if accept is None else sent.with_headers(Accept=accept)
    assert not wire.result(lane_url, sent)["isError"]


def test_the_older_protocols_are_pinged(lane_url: str, alice: Caller) -> None:
    for version in (*OLDER, None):
        assert wire.result(lane_url, wire.request(alice, "ping", version=version)) == {}


def test_what_a_client_only_tells_is_accepted(lane_url: str, alice: Caller) -> None:
    sent = wire.request(alice, "notifications/initialized", version="2025-11-25")
    del sent.body["id"]
    response = wire.post(lane_url, sent)
    assert (response.status_code, response.content) == (202, b"")


@pytest.mark.parametrize("version", ANY_VERSION)
def test_a_batch_is_refused_in_a_sentence(lane_url: str, alice: Caller, version: str | None) -> None:
    sent = wire.request(alice, "tools/list", version=version)
    with loopback.Client() as client:
        response = client.post(f"{lane_url}/mcp", json=[sent.body, sent.body], headers=sent.headers)
    assert response.status_code == 400
    assert len(response.text) < 300, response.text
    assert "pydantic" not in response.text


@pytest.mark.parametrize("version", ANY_VERSION)
@pytest.mark.parametrize("body", [b"", b"{nope", b"null", b"7", b'"tools/list"', b"\xff"])
def test_a_body_that_is_no_request_is_refused(lane_url: str, alice: Caller, version: str | None, body: bytes) -> None:
    headers = wire.request(alice, "tools/list", version=version).headers | {"Content-Type": "application/json"}
    with loopback.Client() as client:
        response = client.post(f"{lane_url}/mcp", content=body, headers=headers)
    assert response.status_code == 400
    assert "Traceback" not in response.text


@pytest.mark.parametrize("version", ["2025-11-25", NEWEST])
def test_an_unknown_method_is_told_so(lane_url: str, alice: Caller, version: str) -> None:
    assert wire.error(lane_url, wire.request(alice, "tools/enlist", version=version))["code"] == -32601


# --- no session -------------------------------------------------------------------------------------------------


def _call_in_session(url: str, caller: Caller, session: str) -> dict[str, Any]:
    return wire.result(url, wire.call(caller, "whoami", version="2025-11-25").with_headers(Mcp_Session_Id=session))


def test_no_session_is_ever_handed_out(lane_url: str, alice: Caller) -> None:
    for sent in (wire.initialize(alice, "2025-11-25"), wire.request(alice, "tools/list", version="2025-11-25")):
        assert "mcp-session-id" not in wire.post(lane_url, sent).headers


def test_a_made_up_session_gives_nothing_and_takes_nothing(lane_url: str, alice: Caller, mallory: Caller) -> None:
    """Lesson 11: there is no session that a stranger could steal, or a restart lose."""
    for caller in (alice, mallory):
        found = _call_in_session(lane_url, caller, "0" * 32)
        assert found["structuredContent"]["workspace"] == caller.workspace.name


def test_one_server_begins_and_another_goes_on(lane_url: str, drf_url: str, alice: Caller) -> None:
    wire.result(lane_url, wire.initialize(alice, "2025-11-25"))
    found = wire.result(drf_url, wire.call(alice, "whoami", version="2025-11-25"))
    assert found["structuredContent"]["workspace"] == alice.workspace.name
