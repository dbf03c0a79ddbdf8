"""What a request leaves in the log, and what the log says to machines."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from crosswire.lib.logs import JsonFormatter, LineFormatter, without_secrets
from tests.conftest import Serve
from tests.support import loopback, servers
from tests.support.cast import Caller, Credential
from tests.support.homes import Home
from tests.support.processes import wait_until
from tests.support.surfaces import Surface, SurfaceName

KEY = "cw_abcdefghijklmnopqrstuvwxyz234567"


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (f"look: {KEY}.", "look: cw_abcdefgh…."),
        (f"GET /api?api_key={KEY}&x=1", "GET /api?api_key=…&x=1"),
        ("GET /api?api_key=other-kind&x=1", "GET /api?api_key=…&x=1"),
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer cw_abcdefgh…"),
        ("authorization: bearer AAAA.bbbb~cccc+dddd/eeee=", "authorization: bearer …"),
        (f"{KEY} and {KEY}", "cw_abcdefgh… and cw_abcdefgh…"),
        ("cw_abcdefgh is what a list shows", "cw_abcdefgh is what a list shows"),
        ("the bearer of news", "the bearer of news"),
        (f"/mcp%3Fapi_key%3D{KEY} /x%2F{KEY}", "/mcp%3Fapi_key%3D… /x%2Fcw_abcdefgh…"),
        (f"body was\\n{KEY}", "body was\\ncw_abcdefgh…"),
        ("nothing", "nothing"),
    ],
)
def test_a_line_loses_its_secrets(line: str, left: str) -> None:
    assert without_secrets(line) == left


@pytest.mark.parametrize("formatter", [LineFormatter, JsonFormatter])
def test_a_traceback_loses_them_too(formatter: Callable[[], logging.Formatter]) -> None:
    try:
        int(f"no number, {KEY}")
    except ValueError as problem:
        record = logging.LogRecord("a", logging.ERROR, __file__, 1, "broken %s", (KEY,), (type(problem), problem, None))
    text = formatter().format(record)
    assert "ValueError" in text
    assert KEY not in text
    assert "cw_abcdefgh…" in text


@pytest.mark.parametrize("name", ["lane", "drf", "mcp-2026-07-28"])
def test_an_answer_names_its_request_and_the_line_names_it_and_the_workspace(
    surface: Callable[[SurfaceName], Surface], name: SurfaceName, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    call = surface(name)
    with caplog.at_level(logging.INFO, "crosswire.access"):
        answer = call.ok(alice, "whoami")
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
    given = loopback.get(f"{call.url}/api/whoami", headers=alice.headers | {"X-Request-ID": "trace-1234"})
    assert given.headers["x-request-id"] == "trace-1234"
    forged = loopback.get(f"{call.url}/api/whoami", headers={"X-Request-ID": "a b; c"})
    assert forged.headers["x-request-id"] != "a b; c"


@pytest.mark.slow
def test_json_lines_tell_method_path_status_id_and_workspace_and_no_query(
    serve: Serve, make_home: Callable[[], Home]
) -> None:
    home = make_home()
    caller = Credential(servers.create_workspace(home))
    server = serve(home, env={"LOG_FORMAT": "json"})
    ok = loopback.get(f"{server.url}/api/channels?api_key={caller.key}")
    missing = loopback.get(f"{server.url}/no%0Awhere/{caller.key}")
    ids = {answer.headers["x-request-id"] for answer in (ok, missing)}
    wait_until(lambda: ids <= access_lines(server.log).keys(), 10, lambda: server.log)
    lines = access_lines(server.log)
    line = lines[ok.headers["x-request-id"]]
    assert (line["method"], line["path"], line["status"], line["level"]) == ("GET", "/api/channels", 200, "info")
    assert line["workspace"]
    assert line["seconds"] > 0
    line = lines[missing.headers["x-request-id"]]
    assert line["status"] == 404
    assert line["path"].startswith("/no%0Awhere/cw_")
    assert line["workspace"] is None
    assert caller.key not in server.log
    assert all(entry.get("path") != "/health" for entry in lines.values())


def access_lines(log: str) -> dict[object, dict[str, Any]]:
    """Return the lines that tell of a request, by its id."""
    return {line["request_id"]: line for line in map(parsed, log.splitlines()) if "status" in line}


def parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}  # the server's own first lines
    return found if isinstance(found, dict) else {}


@pytest.mark.slow
@pytest.mark.parametrize("program", ["uvicorn", "daphne"])
def test_a_path_cannot_forge_a_line(serve: Serve, program: servers.Program) -> None:
    server = serve(program=program)
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(
            b"GET /x%0d%0aERROR%20forged\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        while connection.recv(4_096):
            pass
    assert not re.search(r"^ERROR", server.log, re.MULTILINE)


@pytest.mark.slow
def test_figures_are_for_who_has_the_token(serve: Serve, make_home: Callable[[], Home]) -> None:
    home = make_home()
    caller = Credential(servers.create_workspace(home))
    closed, opened = serve(home), serve(home, env={"METRICS_TOKEN": "let-me-see"})
    assert loopback.get(f"{closed.url}/metrics").status_code == 404
    assert loopback.get(f"{opened.url}/metrics").status_code == 401
    wrong = loopback.get(f"{opened.url}/metrics", headers=caller.headers)
    assert wrong.status_code == 401
    loopback.get(f"{opened.url}/api/whoami", headers=caller.headers)
    figures = loopback.get(f"{opened.url}/metrics", headers={"Authorization": "Bearer let-me-see"})
    assert figures.headers["content-type"].startswith("text/plain")
    assert 'crosswire_requests_total{status="200",surface="api"} 1.0' in figures.text
    assert "crosswire_rates_unchecked_total 0.0" in figures.text
    assert caller.key not in figures.text
