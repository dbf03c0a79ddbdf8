"""Mutual waits across server processes: who waits in which makes no difference, and one of them is released."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import datetime, timedelta

import psycopg
import pytest

from tests.bus.waiters import SOON, WAIT, answered, until
from tests.conftest import Serve, SurfaceAt
from tests.support.cast import Credential
from tests.support.homes import Home
from tests.support.messages import ids
from tests.support.servers import ServerProcess, create_workspace, move_clock
from tests.support.surfaces import Refusal, Result, Surface

type Waiting = Future[Result | Refusal]

HASTY = "tests.support.hasty:application"

pytestmark = [pytest.mark.slow, pytest.mark.home("postgres")]


def listed(call: Surface, caller: Credential) -> dict[str, list[str]]:
    return {row["instance_id"]: row["waiting_on"] for row in call.ok(caller, "list_instances")["instances"]}


def begin(call: Surface, caller: Credential, name: str, channel: str, after_id: int) -> Waiting:
    """Begin a wait; return once everyone can see it."""
    waited = call.start(caller, WAIT, instance_id=name, channel=channel, after_id=after_id)
    until(lambda: waited.done() or listed(call, caller).get(name) == [channel], f"{name} does not wait")
    assert not waited.done(), waited.result(0)
    return waited


def pass_time(home: Home, seconds: int, dead: Collection[str] = ()) -> None:
    """Move the clock in steps, after each of which every process that lives has said so."""
    for _ in range(seconds // 20):
        later = {process: at + timedelta(seconds=15) for process, at in beats(home).items() if process not in dead}
        move_clock(home, timedelta(seconds=20))
        until(functools.partial(_have_beaten, home, later), "a process does not beat")


def _have_beaten(home: Home, later: dict[str, datetime]) -> bool:
    now = beats(home)
    return all(now.get(process, at) >= at for process, at in later.items())


def beats(home: Home) -> dict[str, datetime]:
    """Return when each process last beat for its waits."""
    with psycopg.connect(home.database_url) as database:
        rows = database.execute("SELECT process, max(seen_at) FROM bus_wait WHERE ended_at IS NULL GROUP BY process")
        return dict(rows.fetchall())


@pytest.fixture
def home(make_home: Callable[[], Home]) -> Home:
    return make_home()


@pytest.fixture
def servers(home: Home, serve: Serve) -> list[ServerProcess]:
    return [serve(home, app=HASTY) for _ in range(2)]


def test_a_ring_across_processes_and_channels_releases_exactly_one_and_heals(
    home: Home, servers: list[ServerProcess], surface_at: SurfaceAt
) -> None:
    caller = Credential(create_workspace(home))
    calls = [surface_at("mcp-2026-07-28", server.url) for server in servers]
    names = ["ann", "bo", "cleo"]
    for number in range(3):
        calls[0].ok(caller, "send_message", sender=names[(number + 1) % 3], channel=f"c{number}", content="x")
    ring = [begin(calls[number % 2], caller, name, f"c{number}", 3) for number, name in enumerate(names)]
    pass_time(home, 40)
    until(lambda: any(waited.done() for waited in ring), "nobody is released")
    answer = answered(ring[2])
    assert (answer["ended"], answer["with"], answer["waiting_on"]) == ("mutual", ["ann", "bo"], ["c0", "c1"])
    for number in (1, 0):
        assert not ring[number].done()
        speaker = names[(number + 1) % 3]
        sent = calls[number % 2].ok(caller, "send_message", sender=speaker, channel=f"c{number}", content="I speak")
        assert ids(answered(ring[number])) == [sent["id"]]


def test_the_waits_of_a_killed_process_keep_nobody_and_bounce_nobody(
    home: Home, servers: list[ServerProcess], surface_at: SurfaceAt
) -> None:
    caller = Credential(create_workspace(home))
    alive, killed = (surface_at("mcp-2026-07-28", server.url) for server in servers)
    waited = begin(alive, caller, "ann", "general", 0)
    before = beats(home).keys()
    killed.start(caller, WAIT, instance_id="bo", channel="general")
    until(lambda: listed(alive, caller).get("bo") == ["general"], "bo does not wait")
    servers[1].kill()
    (dead,) = beats(home).keys() - before
    pass_time(home, 40, {dead})
    until(lambda: listed(alive, caller) == {"ann": ["general"], "bo": []}, "a dead wait is there")
    again = begin(alive, caller, "cleo", "general", 0)
    pass_time(home, 40, {dead})
    answer = answered(again)
    assert (answer["ended"], answer["with"]) == ("mutual", ["ann"])
    alive.ok(caller, "send_message", sender="cleo", content="I speak")
    assert waited.result(SOON)["ended"] == "message"  # type: ignore[index]  # it is no refusal
