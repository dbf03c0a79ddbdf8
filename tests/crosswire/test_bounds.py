"""What is larger than anybody needs is refused early, in our shape, wherever it is sent."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from django.conf import settings

from tests.support import loopback
from tests.support.cast import Caller
from tests.support.surfaces import Surface, SurfaceName, refusal_in

PATHS = ("/mcp", "/api/messages", "/admin/login/", "/nothing")
STREAMS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@pytest.fixture(params=["lane", "drf"])
def url(surface: Callable[[SurfaceName], Surface], request: pytest.FixtureRequest) -> str:
    """The address of a server, with the lane and without."""
    return surface(request.param).url


def refused(response: httpx2.Response, status: int, code: str) -> dict[str, object]:
    assert response.status_code == status, response.text[:500]
    answer: dict[str, object] = refusal_in(response.json())
    assert answer["code"] == code
    assert str(answer["error"]).endswith(".")
    assert response.headers["x-request-id"]
    return answer


@pytest.mark.parametrize("path", PATHS)
def test_a_long_address(url: str, path: str, alice: Caller) -> None:
    response = loopback.post(f"{url}{path}?q={'x' * 20_000}", headers=alice.headers)
    refused(response, 414, "address_too_long")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [{f"X-{number}": "v" for number in range(120)}, {"X-Large": "v" * 40_000}],
    ids=["many", "large"],
)
def test_many_or_large_headers(url: str, path: str, headers: dict[str, str], alice: Caller) -> None:
    response = loopback.post(f"{url}{path}", headers=alice.headers | headers)
    refused(response, 431, "headers_too_large")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(url: str, path: str, alice: Caller) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest("POST", path)
    for name, value in (alice.headers | STREAMS | {"Content-Length": "900000000"}).items():
        connection.putheader(name, value)
    connection.endheaders()  # and not a byte of the body
    answer = connection.getresponse()
    assert answer.status == 413
    assert refusal_in(json.loads(answer.read()))["code"] == "too_large"
    connection.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_announced_as_nothing_and_never_ends(url: str, path: str, alice: Caller) -> None:
    def endless() -> Iterator[bytes]:
        piece = b'{"sender": "' + b"x" * 1_000_000
        for _ in range(settings.MAX_SHARED_DATA_BODY_BYTES // len(piece) + 2):
            yield piece

    try:
        response = loopback.post(f"{url}{path}", content=endless(), headers=alice.headers | STREAMS, timeout=60)
    except (httpx2.WriteError, httpx2.ReadError):
        return  # the server has answered and closed while the body was under way
    refused(response, 413, "too_large")


@pytest.mark.parametrize("path", ["/mcp", "/api/messages", "/api/data"])
@pytest.mark.parametrize("levels", [65, 900, 5_000, 400_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_json_that_is_nested_deeply(url: str, path: str, levels: int, brackets: str, alice: Caller) -> None:
    inner = '{"a":' * levels + "1" + "}" * levels if brackets == "{}" else "[" * levels + "]" * levels
    if path == "/mcp":
        body = (
            f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"whoami","arguments":{{"a":{inner}}}}}}}'
        )
    else:
        body = f'{{"sender":"a","content":{inner}}}'
    response = loopback.post(f"{url}{path}", content=body, headers=alice.headers | STREAMS)
    assert 400 <= response.status_code < 500, response.text[:500]
    if levels < 1_000:  # deeper, it is no JSON for the parsers
        assert "nested" in str(refused(response, 400, "invalid_input")["error"])


def test_much_that_is_not_deep_passes(url: str, alice: Caller) -> None:
    content = json.dumps([{"a": [1]}] * 1_000)
    body = {"key": "flat", "sender": "a", "content": content}
    answer = loopback.post(f"{url}/api/data", json=body, headers=alice.headers)
    assert answer.status_code == 200, answer.text


def test_what_is_no_http_at_all_ends_without_a_trace_of_us(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 GET / \r\n\r\n")
        answer = connection.recv(4_096)
    assert b"Traceback" not in answer
    assert loopback.get(f"{url}/health").status_code == 200


@pytest.mark.parametrize("path", ["/mcp", "/api/messages", "/api/data"])
def test_json_with_a_million_values(url: str, path: str, alice: Caller) -> None:
    body = b'{"sender":"a","content":[' + b"{}," * 300_000 + b"1]}"
    response = loopback.post(f"{url}{path}", content=body, headers=alice.headers | STREAMS)
    assert "too many values" in str(refused(response, 400, "invalid_input")["error"])


def test_an_address_that_is_a_star(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 400")
