"""How a server of /mcp begins and ends: first requests that race, and a stop that nobody loses anything by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import httpx2
import pytest

from crosswire.asgi import build_application
from tests.conftest import Serve, SurfaceAt
from tests.mcp import wire
from tests.mcp.wire import OLDER
from tests.support import loopback
from tests.support.cast import Caller, Credential
from tests.support.homes import Run
from tests.support.servers import Program
from tests.support.surfaces import MCP, Result, SurfaceName

COLD_STARTS = 25
AT_ONCE = 12
STOPS_WITHIN_SECONDS = 15
PROGRAMS = pytest.mark.parametrize("program", ["uvicorn", "daphne"])


def first_requests(caller: Credential) -> list[wire.Request]:
    """What clients of all eras send first, all of it at once."""
    kinds = [
        wire.request(caller, "server/discover"),
        wire.request(caller, "tools/list"),
        wire.initialize(caller, OLDER[-1]),
        wire.request(caller, "tools/list", version=OLDER[0]).with_headers(Accept="application/json"),
    ]
    return [kinds[number % len(kinds)] for number in range(AT_ONCE)]


async def test_parallel_first_requests_find_a_cold_server_ready(alice: Caller) -> None:
    """Lesson 39: a client that meets a half-made session manager falls back to an older protocol, silently."""
    for _ in range(COLD_STARTS):
        app = build_application(lane=True)
        transport = httpx2.ASGITransport(app)  # tells no lifespan, as Daphne does
        async with loopback.AsyncClient(transport=transport, base_url="http://localhost") as client:
            posts = [client.post("/mcp", json=sent.body, headers=sent.headers) for sent in first_requests(alice)]
            answers = await asyncio.wait_for(asyncio.gather(*posts), 60)
        await app.application_mapping["http"].app.app.endpoint.shutdown()
        assert [answer.status_code for answer in answers] == [200] * AT_ONCE
        assert all("result" in wire.message(answer) for answer in answers)


async def test_the_managers_context_is_nobodys(alice: Caller) -> None:
    """The first caller's context variables must not live on in the task that all later callers share."""
    mark: ContextVar[str] = ContextVar("mark")
    app = build_application(lane=True)
    endpoint = app.application_mapping["http"].app.app.endpoint
    mark.set("of the first caller")
    managers = await endpoint.ready()
    assert mark not in managers.runner.get_context()
    await endpoint.shutdown()


# --- in a process of its own ------------------------------------------------------------------------------------


@pytest.mark.slow
@PROGRAMS
def test_a_process_answers_parallel_first_requests_and_stops_when_told(
    serve: Serve, run: Run, alice: Caller, surface_at: SurfaceAt, program: Program
) -> None:
    """Lesson 38: a tool that ran on a thread of its own must not keep the process from ending."""
    server = serve(run.home, program, is_cold=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda sent: wire.post(server.url, sent), first_requests(alice)))
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
    assert all("result" in wire.message(answer) for answer in answers)
    for name in (*MCP, "lane"):
        surface_at(name, server.url).ok(alice, "send_message", sender="a", content="x")
    server.stop(STOPS_WITHIN_SECONDS)
    assert not server.is_running


@pytest.mark.slow
@PROGRAMS
def test_a_key_in_the_address_is_in_no_log(serve: Serve, run: Run, alice: Caller, program: Program) -> None:
    server = serve(run.home, program, is_cold=True)
    for sent in (
        wire.call(None, "whoami"),
        wire.call(None, "send_message", {"sender": "a"}),
        wire.request(None, "nope"),
    ):
        assert wire.post(server.url, sent, query=f"?api_key={alice.key}").status_code != 401
    assert wire.post(server.url, sent, query=f"?api_key={alice.key}x").status_code == 401
    for path in ("api/channels", "api/", "nowhere"):
        loopback.get(f"{server.url}/{path}?api_key={alice.key}", headers={"Accept": "text/html"})
    server.stop(STOPS_WITHIN_SECONDS)
    assert server.log
    assert alice.key not in server.log


@pytest.mark.slow
@PROGRAMS
def test_who_waits_when_a_server_stops_is_told_to_reconnect(
    serve: Serve, run: Run, alice: Caller, surface_at: SurfaceAt, program: Program
) -> None:
    server = serve(run.home, program, is_cold=True)
    waits = {name: wire.begin_wait(surface_at(name, server.url), alice, instance=name) for name in MCP}
    with opened_listen_stream(server.url, alice):
        server.stop(STOPS_WITHIN_SECONDS)
        assert not server.is_running
    resume: dict[SurfaceName, int] = {}
    for name, wait in waits.items():
        answer = wait.result(10)
        assert isinstance(answer, Result), answer
        assert answer["ended"] == "restart"
        assert "reconnect and go on" in (answer.text or "")
        assert "TO KEEP LISTENING" in (answer.text or "")
        resume[name] = answer["resume_after_id"]

    server.start()
    surface_at("lane", server.url).ok(alice, "send_message", sender="other", content="meanwhile")
    for name, after_id in resume.items():
        again = surface_at(name, server.url).ok(alice, "wait_for_reply", instance_id=name, after_id=after_id)
        assert "meanwhile" in again["messages"][0]["content"]


@contextmanager
def opened_listen_stream(url: str, caller: Credential) -> Iterator[None]:
    """A stream of change notices that the server has acknowledged."""
    sent = wire.request(caller, "subscriptions/listen", {"notifications": {"resourcesListChanged": True}})
    with (
        loopback.Client(timeout=30) as client,
        client.stream("POST", f"{url}/mcp", json=sent.body, headers=sent.headers) as stream,
    ):
        assert any("acknowledged" in line for line in stream.iter_lines())
        yield
