"""The lane and DRF serve the same table of operations: a client cannot tell which of them answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from asgiref.testing import ApplicationCommunicator

from accounts import services
from crosswire.asgi import build_application
from tests.conftest import MakeWorkspace
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.messages import TIME, seed, use_up
from tests.support.surfaces import Surface, SurfaceName

JSON = {"Content-Type": "application/json"}
HEADERS = (
    "content-type",
    "www-authenticate",
    "retry-after",
    "allow",
    "location",
    "x-content-type-options",
    "referrer-policy",
    "cache-control",
)


@dataclass(frozen=True)
class Asked:
    """A request and the status it gets."""

    method: str
    path: str
    status: int
    body: str | bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    has_key: bool = True


def post(path: str, status: int, body: str | bytes, **headers: str) -> Asked:
    return Asked("POST", path, status, body, JSON | {name.replace("_", "-"): text for name, text in headers.items()})


def get(path: str, status: int = 200, **headers: str) -> Asked:
    return Asked("GET", path, status, headers={name.replace("_", "-"): text for name, text in headers.items()})


def answer(url: str, caller: Caller, asked: Asked) -> httpx2.Response:
    headers = asked.headers | (caller.headers if asked.has_key else {})
    return loopback.request(asked.method, f"{url}/api{asked.path}", content=asked.body, headers=headers, timeout=60)


def comparable(response: httpx2.Response, caller: Caller) -> dict[str, Any]:
    """Return all of an answer that must be equal: times, names of workspaces and references are put out of it."""
    text = TIME.sub("<time>", response.text).replace(caller.workspace.name, "<workspace>")
    text = text.replace(f"/w/{caller.workspace.slug}/", "/w/<workspace>/")
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    if isinstance(body, dict) and "retry_after" in body:
        body["retry_after"] = "<seconds>"
    headers = {name: response.headers.get(name) for name in HEADERS}
    if response.status_code != 405:
        headers.pop("allow")  # may be told with any answer, must be with this one
    if headers["retry-after"] is not None:
        headers["retry-after"] = re.sub(r"\d+", "<seconds>", headers["retry-after"])
    return {"status": response.status_code, "body": body, "headers": headers}


@pytest.fixture
def both(surface: Callable[[SurfaceName], Surface], make_workspace: MakeWorkspace) -> Callable[..., dict[str, Any]]:
    """Ask the lane and DRF the same, each in a workspace of its own with the same history; return the one answer."""
    callers: dict[SurfaceName, Caller] = {}
    for name in ("lane", "drf"):
        callers[name] = make_workspace()
        seed(callers[name], ["one", "two"], sender="ann")
        call = surface(name)
        call.ok(callers[name], "share_data", key="a/b c.md", content="text", sender="ann")
        call.ok(callers[name], "send_message", sender="bea", content="re", in_reply_to=1)

    def ask(asked: Asked, prepare: Callable[[Caller], object] = lambda caller: None) -> dict[str, Any]:
        found = {}
        for name, caller in callers.items():
            prepare(caller)
            found[name] = comparable(answer(surface(name).url, caller, asked), caller)
        assert found["lane"] == found["drf"]
        assert found["drf"]["status"] == asked.status, found["drf"]
        return found["drf"]

    return ask


type Both = Callable[..., dict[str, Any]]

SUCCESSES = [
    post("/register", 200, '{"instance_id": "a"}'),
    post("/channels", 200, '{"name": "Bug Reports"}'),
    post("/messages", 200, '{"sender": "a", "content": "hello"}'),
    post("/messages", 200, '{"sender": "a", "content": "x", "in_reply_to": 1.0, "message_type": "done"}'),
    post("/messages", 200, '{"sender": "a", "content": "x", "sender": "b"}'),
    post("/messages?sender=zoe", 200, '{"sender": "a", "content": "x"}'),
    post("/messages", 200, b'\n {"sender": "a", "content": "\\u65e5\xe6\x9c\xac"} '),
    post("/data", 200, '{"key": "k/é", "content": "é", "sender": "a"}'),
    post("/data", 200, '{"key": "k", "content": "é", "sender": "a"}', Content_Type="application/json; charset=utf-8"),
    post("/data", 200, '{"key": "k", "content": "é", "sender": "a"}', Content_Type="Application/JSON"),
    post("/inbox/ack", 200, '{"instance_id": "a", "channel": "General", "up_to": 1}'),
    get("/instances"),
    get("/channels"),
    get("/channels/search?q=gen"),
    get("/messages/general"),
    get("/messages/General%20?limit=1"),
    get("/messages/general?limit=1&limit=2"),
    get("/messages/general?limit=&after_id="),
    get("/messages/general?after_id=1&limit=1&instance_id=a%20b"),
    get("/messages/general?limit=1e9"),
    get("/messages/not-there"),
    get("/messages/general/1/replies"),
    get("/inbox?instance_id=a"),
    get("/search?q=one"),
    get("/search?q=%25"),
    get("/data"),
    get("/data/a/b%20c.md"),
    get("/data/a%2Fb%20c.md?offset=1&length=2"),
    get("/whoami", User_Agent="equal/1"),
    get("/usage"),
    get("/usage", Accept="application/json"),
    get("/usage", Accept="*/*"),
    get("/usage", Accept="application/*;q=0.5, text/plain"),
    Asked("DELETE", "/instances/ann", 200),
    Asked("DELETE", "/data/a/b%20c.md", 200),
    Asked("HEAD", "/channels", 200),
    Asked("HEAD", "/data/a/b%20c.md", 200),
]

REFUSALS = [
    # bodies
    post("/messages", 400, "{"),
    post("/messages", 400, ""),
    post("/messages", 400, "[]"),
    post("/messages", 400, '"text"'),
    post("/messages", 400, "null"),
    post("/messages", 400, b'{"sender": "\xff", "content": "x"}'),
    post("/messages", 400, '{"sender": "a", "content": "\\ud800"}'),
    post("/messages", 400, '{"sender": "a", "content": NaN}'),
    post("/messages", 400, "[" * 100_000),
    post("/messages", 400, '{"sender": "a"}'),
    post("/messages", 400, '{"sender": "a", "content": 5, "colour": 1}'),
    post("/messages", 400, '{"sender": "human", "content": "x"}'),
    post("/messages", 404, '{"sender": "a", "content": "x", "in_reply_to": 99}'),
    post("/messages", 413, b'{"sender": "a", "content": "' + b"x" * 1_000_000 + b'"}'),
    post("/data", 413, b'{"key": "k", "sender": "a", "content": "' + b"x" * 10_000_001 + b'"}'),
    post("/data", 413, b'{"key": "k", "sender": "a", "content": "' + b"x" * 21_000_000 + b'"}'),
    Asked("POST", "/messages", 415, "sender=a", {"Content-Type": "application/x-www-form-urlencoded"}),
    Asked("POST", "/messages", 415, '{"sender": "a", "content": "x"}', {"Content-Type": "text/plain"}),
    Asked("POST", "/messages", 415, "{}", {"Content-Type": "application/json-patch+json"}),
    Asked("POST", "/messages", 415, "{}", {"Content-Type": "nonsense"}),
    Asked("POST", "/messages", 415, '{"sender": "a", "content": "x"}'),
    # paths and methods
    get("/nothing", 404),
    get("/messages", 405),
    get("/messages/general/x/replies", 400),
    get("/messages/general/99/replies", 404),
    get("/data/none", 404),
    get("/data/", 404),
    get("/channels/", 404),
    Asked("DELETE", "/instances/nobody", 404),
    Asked("PUT", "/channels", 405, "{}", JSON),
    Asked("PATCH", "/data/k", 405, "{}", JSON),
    Asked("DELETE", "/messages", 405),
    Asked("POST", "/whoami", 405, "{}", JSON),
    Asked("TRACE", "/whoami", 405),
    Asked("HEAD", "/messages", 405),
    Asked("HEAD", "/messages/general", 405),
    Asked("HEAD", "/inbox?instance_id=a", 405),
    # queries
    get("/search", 400),
    get("/search?q=", 400),
    get("/search?q=x&colour=blue", 400),
    get("/search?q=%ff", 400),
    get("/search?q=%00", 400),
    get("/search?" + "q=x&" * 60, 400),
    get("/messages/general?limit=many", 400),
    get("/messages/general?limit=true", 400),
    get("/messages/%21", 400),
    get("/inbox", 400),
    # what is understood
    get("/usage", 406, Accept="application/xml"),
    get("/usage", 406, Accept="text/plain"),
    get("/usage", 406, Accept="image/*"),
]


def label(asked: Asked) -> str:
    body = bytes(asked.body[:30].encode() if isinstance(asked.body, str) else asked.body[:30])
    kind = asked.headers.get("Accept") or asked.headers.get("Content-Type", "")
    return f"{asked.method} {asked.path[:40]} {body!r} {kind}"


@pytest.mark.parametrize("asked", SUCCESSES, ids=label)
def test_both_grant_the_same(both: Both, asked: Asked) -> None:
    both(asked)


@pytest.mark.parametrize("asked", [asked for asked in SUCCESSES if asked.method != "HEAD"], ids=label)
def test_the_lane_answers_without_django(
    surface: Callable[[SurfaceName], Surface], alice: Caller, asked: Asked
) -> None:
    by_django = {name: "x-frame-options" in answer(surface(name).url, alice, asked).headers for name in ("lane", "drf")}
    assert by_django == {"lane": False, "drf": True}


@pytest.mark.parametrize("asked", REFUSALS, ids=label)
def test_both_refuse_the_same_in_the_same_words(both: Both, asked: Asked) -> None:
    body = both(asked)["body"]
    if asked.method != "HEAD":
        assert {"error", "code"} <= set(body)
        assert isinstance(body["error"], str)


@pytest.mark.parametrize("asked", [get("/usage", 401), post("/messages", 401, "{"), get("/messages", 401)], ids=label)
def test_both_ask_for_a_key_before_anything_else(both: Both, asked: Asked) -> None:
    for headers in ({}, {"Authorization": "Bearer cw_wrong"}, {"Authorization": "Basic YTpi"}, {"X-API-Key": "cw_x"}):
        found = both(Asked(asked.method, asked.path, 401, asked.body, asked.headers | headers, has_key=False))
        assert found["body"]["code"] == "unauthorized"
        assert found["headers"]["www-authenticate"].startswith('Bearer realm="CrossWire"')


@pytest.mark.parametrize("name", ["lane", "drf"])
def test_both_look_for_the_key_in_the_same_places(
    surface: Callable[[SurfaceName], Surface], name: SurfaceName, alice: Caller, mallory: Caller
) -> None:
    url = surface(name).url
    for headers, query in (
        ({"Authorization": f"bearer  {alice.key}"}, f"?api_key={mallory.key}"),
        ({"X-API-Key": alice.key, "X-Auth-Token": mallory.key}, ""),
        ({"X-Auth-Token": alice.key}, f"?api_key={mallory.key}"),
        ({"Authorization": "Basic YTpi"}, f"?api_key={alice.key}"),
        ({}, f"?api_key={alice.key}"),
    ):
        told = loopback.get(f"{url}/api/whoami{query}", headers=headers).json()
        assert told["workspace"] == alice.workspace.name, (headers, query)


@pytest.mark.parametrize("name", ["lane", "drf"])
def test_a_key_in_the_query_string_leaves_its_other_fields_as_they_are(
    surface: Callable[[SurfaceName], Surface], name: SurfaceName, alice: Caller
) -> None:
    url = surface(name).url
    for text in ("日本", "ü + é", "100%", "a&b=c", "\N{NO-BREAK SPACE}"):
        seed(alice, [text])
        for query in ({"q": text, "api_key": alice.key}, {"api_key": alice.key, "q": text}):
            found = loopback.get(f"{url}/api/search", params=query).json()
            assert [message["content"] for message in found["messages"]] == [text]


def test_both_refuse_a_suspended_workspace_alike(both: Both) -> None:
    found = both(get("/whoami", 403), lambda caller: services.suspend(caller.workspace, "unpaid"))
    assert found["body"] == {"code": "suspended", "error": "This workspace is suspended: unpaid."}


def test_both_refuse_past_the_quota_alike_and_say_when_to_come_back(both: Both) -> None:
    found = both(post("/messages", 429, '{"sender": "a", "content": "x"}'), lambda caller: use_up(caller, 10_000))
    assert found["body"]["code"] == "quota_exceeded"
    assert found["headers"]["retry-after"] == "<seconds>"
    assert {"plan", "limit", "used", "resets_at", "upgrade_url", "retry_after"} <= set(found["body"])


def test_both_name_the_methods_that_a_path_takes(both: Both) -> None:
    for path, allowed in (("/channels", "GET, POST, HEAD, OPTIONS"), ("/data/k", "GET, DELETE, HEAD, OPTIONS")):
        told = both(Asked("PUT", path, 405, "{}", JSON))["headers"]["allow"]
        assert set(told.split(", ")) == set(allowed.split(", "))


@pytest.mark.parametrize("lane", [True, False])
@pytest.mark.parametrize(
    ("query", "status"), [(b"q=one", 200), ("q=日".encode(), 200), (b"q=\xff", 400), ("limit=ä".encode(), 400)]
)
async def test_both_read_an_address_that_was_typed_without_encoding(
    alice: Caller, query: bytes, status: int, *, lane: bool
) -> None:
    """Some servers pass such bytes on, and those under the other tests do not."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/search",
        "raw_path": b"/api/search",
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {alice.key}".encode())],
    }
    connect: Any = ApplicationCommunicator  # has no types
    client = connect(build_application(lane=lane), scope)
    await client.send_input({"type": "http.request", "body": b""})
    start = await client.receive_output(timeout=20)
    body = await client.receive_output(timeout=20)
    await client.wait(timeout=20)
    assert start["status"] == status
    assert ("messages" if status == 200 else "error") in json.loads(body["body"])
