"""How a server of /mcp begins and ends: first requests that race, and a stop that nobody loses anything by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from crosswire.asgi import build_application
from tests.conftest import Serve, SurfaceAt
from tests.mcp import wire
from tests.mcp.wire import OLDER
from tests.support import servers
from tests.support.cast import Caller, Credential
from tests.support.homes import Home
from tests.support.processes import wait_until
from tests.support.servers import Program, ServerProcess
from tests.support.surfaces import Surface

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
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            posts = [client.post("/mcp", json=sent.body, headers=sent.headers) for sent in first_requests(alice)]
            answers = await asyncio.wait_for(asyncio.gather(*posts), 60)
        await app.application_mapping["http"].app.endpoint.shutdown()
        assert [answer.status_code for answer in answers] == [200] * AT_ONCE
        assert all("result" in wire.message(answer) for answer in answers)


async def test_the_managers_context_is_nobodys(alice: Caller) -> None:
    """The first caller's context variables must not live on in the task that all later callers share."""
    from contextvars import ContextVar  # noqa: PLC0415 - of use here alone

    mark: ContextVar[str] = ContextVar("mark")
    app = build_application(lane=True)
    endpoint = app.application_mapping["http"].app.endpoint
    mark.set("of the first caller")
    managers = await endpoint.ready()
    assert mark not in managers.runner.get_context()
    await endpoint.shutdown()


def test_a_server_that_was_told_nothing_of_its_start_answers(alice: Caller, lane_url: str) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda sent: wire.post(lane_url, sent), first_requests(alice)))
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE


# --- in a process of its own ------------------------------------------------------------------------------------


@pytest.fixture
def started(serve: Serve, make_home: Callable[[], Home]) -> Callable[[Program], tuple[ServerProcess, Credential]]:
    """A server process and the key of a workspace in it."""

    def start(program: Program) -> tuple[ServerProcess, Credential]:
        home = make_home()
        key = Credential(servers.create_workspace(home))
        return serve(home, program), key

    return start


def begin_wait(call: Surface, caller: Credential, **arguments: Any) -> Any:
    """Start a wait and return its future once the server says that it waits."""
    future = call.start(caller, "wait_for_reply", channel="general", instance_id="waiter", **arguments)

    def waits() -> bool:
        found = call.ok(caller, "list_instances")["instances"]
        return future.done() or any(each["waiting_on"] == ["general"] for each in found)

    wait_until(waits, 30, lambda: "The wait did not open.")
    assert not future.done(), future.result(1)
    return future


@pytest.mark.slow
@PROGRAMS
def test_parallel_first_requests_are_answered_by_a_process(
    started: Callable[[Program], tuple[ServerProcess, Credential]], program: Program
) -> None:
    server, key = started(program)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda sent: wire.post(server.url, sent), first_requests(key)))
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
    assert all("result" in wire.message(answer) for answer in answers)


@pytest.mark.slow
@PROGRAMS
def test_a_server_stops_after_a_call_was_done(
    started: Callable[[Program], tuple[ServerProcess, Credential]], surface_at: SurfaceAt, program: Program
) -> None:
    """Lesson 38: a tool that ran on a thread of its own must not keep the process from ending."""
    server, key = started(program)
    for name in ("mcp-2026-07-28", "mcp-2025-11-25", "lane"):
        surface_at(name, server.url).ok(key, "send_message", sender="a", content="x")
    server.stop(STOPS_WITHIN_SECONDS)
    assert not server.is_running


@pytest.mark.slow
@PROGRAMS
@pytest.mark.parametrize("era", ["mcp-2026-07-28", "mcp-2025-11-25"])
def test_a_wait_is_told_to_reconnect_when_its_server_stops(
    started: Callable[[Program], tuple[ServerProcess, Credential]], surface_at: SurfaceAt, program: Program, era: Any
) -> None:
    server, key = started(program)
    call = surface_at(era, server.url)
    wait = begin_wait(call, key)
    server.stop(STOPS_WITHIN_SECONDS)
    answer = wait.result(10)
    assert answer["ended"] == "restart"
    assert "reconnect and go on" in answer.text
    assert "TO KEEP LISTENING" in answer.text

    server.start()
    call.ok(key, "send_message", sender="other", content="while you reconnected")
    again = call.ok(key, "wait_for_reply", channel="general", instance_id="waiter", after_id=answer["resume_after_id"])
    assert "while you reconnected" in again["messages"][0]["content"]


@pytest.mark.slow
@PROGRAMS
def test_a_server_stops_with_a_listening_client(
    started: Callable[[Program], tuple[ServerProcess, Credential]], program: Program
) -> None:
    server, key = started(program)
    sent = wire.request(key, "subscriptions/listen", {"notifications": {"resourcesListChanged": True}})
    with (
        httpx2.Client(trust_env=False, timeout=30) as client,
        client.stream("POST", f"{server.url}/mcp", json=sent.body, headers=sent.headers) as stream,
    ):
        lines = stream.iter_lines()
        assert any("acknowledged" in line for line in lines)  # the stream stands
        server.stop(STOPS_WITHIN_SECONDS)
        assert not server.is_running
