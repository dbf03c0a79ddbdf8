"""No key is in any log, wherever a caller puts it and whatever comes of the call (lesson 13)."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import httpx2
import pytest

from crosswire.lib import keys
from tests.conftest import Serve
from tests.support import loopback, servers
from tests.support.homes import ROOT, SECRET_KEY, Home
from tests.support.processes import end, free_port, spawn, tail, wait_until

pytestmark = pytest.mark.slow

TARGETS = (
    ("GET", "/api/whoami", None),
    ("GET", "/api/nothing/here", None),
    ("GET", "/api/messages/general?wait=0.05", None),
    ("POST", "/api/messages", '{"sender": "a", "content": "x"}'),
    ("POST", "/api/messages", "no json"),
    ("POST", "/mcp", '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'),
    ("POST", "/mcp", "no json"),
    ("GET", "/mcp", None),
    ("DELETE", "/mcp", None),
    ("OPTIONS", "/api/messages", None),
    ("PUT", "/api/messages", "{}"),
    ("GET", "/", None),
    ("POST", "/", "x=1"),
    ("GET", "/api", None),
    ("GET", "/api/", None),
    ("GET", "/admin", None),
    ("GET", "/admin/", None),
    ("POST", "/admin/login/", "username=a&password=b"),
    ("GET", "/nothing", None),
    ("GET", "/static/nothing.css", None),
    ("GET", "/health", None),
)
FURTHER_HEADERS: tuple[Mapping[str, str], ...] = (
    {},
    {"Accept": "text/html"},
    {"Host": "elsewhere.example"},
    {"Origin": "https://elsewhere.example"},
    {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"},
)


def places(key: str) -> Iterator[tuple[dict[str, str], str]]:
    """Return the headers and the query of a call for every place where a key can stand."""
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": key},
        {"X-API-Key": key},
        {"X-Auth-Token": key},
    ):
        yield headers, ""
    for query in (
        f"api_key={key}",
        f"x=1&api_key={key}",
        f"api_key={key}&api_key={key}",
        f"API_KEY={key}",
        f"key={key}",
    ):
        yield {}, query


def call_everything(url: str, key: str, further_headers: Iterable[Mapping[str, str]] = FURTHER_HEADERS) -> set[int]:
    """Call every target with the key in every place; return the statuses met."""
    met = set()
    with loopback.Client(base_url=url, timeout=30) as client:
        for headers, query in places(key):
            for method, path, body in TARGETS:
                for further in further_headers:
                    joined = f"{path}{'&' if '?' in path else '?'}{query}" if query else path
                    answer = client.request(method, joined, content=body, headers={**further, **headers})
                    met.add(answer.status_code)
    return met


def procfile_flags() -> list[str]:
    """Return the options of the Procfile's server, but for where it listens and how many it is."""
    web = next(line for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines() if line.startswith("web:"))
    words = shlex.split(web.partition("exec uvicorn ")[2])[1:]
    own = ("--host", "--port", "--workers")
    return [word for at, word in enumerate(words) if word not in own and (at == 0 or words[at - 1] not in own)]


@contextmanager
def embedded(home: Home, level: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Run `manage.py run`; yield its address and what gives its log."""
    port = free_port()
    log = home.folder / "run.log"
    url = f"http://127.0.0.1:{port}"
    variables = home.environment({"PORT": str(port), "LOG_LEVEL": level})
    process = spawn([sys.executable, str(ROOT / "manage.py"), "run"], log, env=variables, cwd=ROOT)
    try:
        wait_until(lambda: process.poll() is not None or answers(url), 60, lambda: tail(log))
        yield url, lambda: log.read_text(encoding="utf-8", errors="replace")
    finally:
        end(process)


def answers(url: str) -> bool:
    try:
        return loopback.get(f"{url}/health", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def assert_silent(log: str, *secrets: str) -> None:
    """Fail when a log holds any of the secrets, whole or but for their first characters."""
    for secret in secrets:
        tell_tale = secret[keys.DISPLAY_LENGTH :]
        lines = [line for line in log.splitlines() if tell_tale in line]
        assert not lines, f"the log shows a secret: {lines[:3]}"


MOST_AT = {"INFO": FURTHER_HEADERS[:1], "DEBUG": FURTHER_HEADERS}
"""With which headers a log is looked at whole: at DEBUG with all, for it holds whatever INFO does."""


@pytest.mark.parametrize("level", MOST_AT)
def test_uvicorn_as_the_procfile_starts_it_logs_no_key(serve: Serve, make_home: Callable[[], Home], level: str) -> None:
    home = make_home()
    key, unknown = servers.create_workspace(home), keys.generate()
    server = serve(home, arguments=procfile_flags(), env={"LOG_LEVEL": level})
    assert {200, 401, 404} <= call_everything(server.url, key, MOST_AT[level])
    call_everything(server.url, unknown, FURTHER_HEADERS[:1])
    server.stop()
    assert server.log
    assert_silent(server.log, key, unknown, SECRET_KEY)


@pytest.mark.parametrize("level", MOST_AT)
def test_the_embedded_server_logs_no_key_but_the_demo_workspaces_once(
    make_home: Callable[[], Home], level: str
) -> None:
    home = make_home()
    key, unknown = servers.create_workspace(home), keys.generate()
    with embedded(home, level) as (url, log):
        assert {200, 401, 404} <= call_everything(url, key, MOST_AT[level])
        call_everything(url, unknown, FURTHER_HEADERS[:1])
        demo = (home.folder / "var" / "demo_key").read_text(encoding="utf-8").strip()
        banner = log()
        assert demo in banner
        call_everything(url, demo, FURTHER_HEADERS[:1])
        assert_silent(log(), key, unknown, SECRET_KEY)
        assert log().count(demo) == banner.count(demo)


def test_a_server_that_logs_addresses_is_seen(serve: Serve) -> None:
    key = keys.generate()
    server = serve(app="tests.support.echo:echo")
    call_everything(server.url, key, FURTHER_HEADERS[:1])
    server.stop()
    with pytest.raises(AssertionError, match="the log shows a secret"):
        assert_silent(server.log, key)
