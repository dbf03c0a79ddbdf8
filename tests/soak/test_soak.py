"""Two server processes on PostgreSQL and Redis, agents that send, wait, read and hang up, and everything that dies.

In the end the clients' own logs say whether every acknowledged message reached everyone it was for, and the servers
whether anything was left open. `make soak` runs it for long (SECONDS=600); the suite for as long as it may take there.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bus import pruners
from bus.models import Wait
from crosswire.lib import clock
from tests.conftest import MakeWorkspace
from tests.soak.people import ANSWER_SECONDS, CHANNELS, Broken, Follower, Kind, Sender, World
from tests.support import laws, lines
from tests.support.cast import Caller
from tests.support.homes import Run
from tests.support.servers import ServerProcess

SECONDS = float(os.environ.get("CROSSWIRE_SOAK_SECONDS") or 60)
SENDERS = 3
KINDS: tuple[Kind, ...] = ("careful", "quiet", "inbox", "careful", "quiet", "inbox", "careful", "quiet")
CATCH_UP_SECONDS = 60.0
LEFT_SECONDS = 90.0
"""More than a server keeps an idle connection: uvicorn's timer for that, and with it the context of the connection's
last request, outlives a connection that its client reset."""
GROWTH_MOST = 6 * 2**20
"""Bytes by which the medians of the second and the last quarter may differ, in a soak that is long enough to tell."""
TELLING_SECONDS = 240.0
REMEMBERED_MOST = 64
"""Calls that are over and still referred to, by such timers."""
APPLICATION = "tests.soak.inside:application"

pytestmark = [pytest.mark.slow, pytest.mark.home("postgres"), pytest.mark.timeout(SECONDS + 400)]


@dataclass
class Soak:
    """Everybody and everything that takes part."""

    run: Run
    caller: Caller
    world: World
    servers: list[ServerProcess]
    senders: list[Sender]
    followers: list[Follower]
    deeds: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    listened: int = 0

    @property
    def lasting(self) -> ServerProcess:
        """The process that lives all along."""
        return self.servers[0]

    @property
    def mortal(self) -> ServerProcess:
        """The one that is killed and started again."""
        return self.servers[1]

    def last(self) -> None:
        """Have all of it happen, then peace, then let everyone catch up."""
        self.before = inside(self.lasting)
        with ThreadPoolExecutor(len(self.senders) + len(self.followers) + 3, thread_name_prefix="soak") as threads:
            lives = [*(each.live for each in self.senders), *(each.live for each in self.followers)]
            living = [threads.submit(live) for live in (*lives, self._listen, self._watch)]
            try:
                self._disturb()
            finally:
                self.world.is_over.set()
            for life in living:
                life.result(ANSWER_SECONDS + 30)
            for done in [threads.submit(each.catch_up, CATCH_UP_SECONDS) for each in self.followers]:
                done.result(CATCH_UP_SECONDS + 30)

    def _disturb(self) -> None:
        """Kill, restart and take away, at moments and in an order that the seed chooses."""
        chance = self.world.chance("disturber")
        deeds = {"kill": self._kill, "stop": self._stop, "redis": self._restart_redis}
        order: list[str] = []
        over_at = time.monotonic() + SECONDS
        while time.monotonic() < over_at:
            self.world.is_over.wait(chance.uniform(1, 4 if SECONDS < TELLING_SECONDS else 12))
            if not order:
                order = chance.sample(sorted(deeds), len(deeds))
            deed = order.pop()
            self.deeds.append(deed)
            deeds[deed]()

    def _kill(self) -> None:
        self.mortal.kill()
        self.mortal.start()

    def _stop(self) -> None:
        if (took := self.mortal.stop()) > 8:
            self.world.problems.append(f"SIGTERM took {took:.1f} s")
        self.mortal.start()

    def _restart_redis(self) -> None:
        if (redis := self.run.home._redis) is not None:  # else it is somebody's own
            redis.kill()
            self.world.is_over.wait(0.5)
            redis.restart()

    def _listen(self) -> None:
        """Open a stream of change notices now and again, and leave it."""
        chance = self.world.chance("listener")
        notifications = {"resourceSubscriptions": [f"crosswire://channels/{name}" for name in CHANNELS]}
        while not self.world.is_over.is_set():
            request = lines.rpc(self.world.key, "2026-07-28", "subscriptions/listen", {"notifications": notifications})
            with suppress(Broken):
                self.world.call(chance.choice(self.world.urls), request, leave_after=chance.uniform(0.1, 3))
            self.listened += 1
            self.world.is_over.wait(chance.uniform(0, 0.5))

    def _watch(self) -> None:
        """Note the memory of the process that lives all along."""
        while not self.world.is_over.wait(max(0.5, SECONDS / 400)):
            self.memory.append(resident(self.lasting.pid))


@pytest.fixture(scope="module")
def servers(run: Run, database: None) -> Iterator[list[ServerProcess]]:
    """Two server processes that tell what is open in them."""
    with ExitStack() as running:
        yield [running.enter_context(ServerProcess(run.home, app=APPLICATION)) for _ in range(2)]


@pytest.fixture
def soak(run: Run, servers: list[ServerProcess], make_workspace: MakeWorkspace, seed: int) -> Iterator[Soak]:
    """A soak that has not begun; everyone is registered, so that whatever is sent is for them."""
    print(f"soak: CROSSWIRE_TEST_SEED={seed} CROSSWIRE_SOAK_SECONDS={SECONDS:g}")
    caller = make_workspace("unlimited")
    world = World(caller.key, [server.url for server in servers], seed)
    chance = world.chance("everybody")
    pace = 0.15 if SECONDS < TELLING_SECONDS else 0.4
    senders = [Sender(world, f"sender-{number}", pace) for number in range(SENDERS)]
    followers = [
        Follower(world, f"{kind}-{number}", kind, CHANNELS if kind == "inbox" else tuple(chance.sample(CHANNELS, 2)))
        for number, kind in enumerate(KINDS)
    ]
    for who in followers:
        world.call(world.urls[0], lines.post(world.key, "/register", instance_id=who.name)).rest()
    try:
        yield Soak(run, caller, world, servers, senders, followers)
    finally:
        world.is_over.set()


def inside(server: ServerProcess) -> dict[str, Any]:
    """Return what is open in a server process."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as asking:
        asking.request("GET", "/inside")
        found: dict[str, Any] = json.loads(asking.getresponse().read())
    return found


def resident(pid: int) -> int:
    """Return a process's resident memory, in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def sockets(server: ServerProcess) -> int:
    """Return how many connections a server holds open to its clients."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(int(row[1].rpartition(":")[2], 16) == server.port and row[3] in {"01", "08"} for row in rows)


def what_is_left(soak: Soak, caller: Caller) -> list[str]:
    """Return what is open although everybody has left, in words."""
    left = []
    for server in soak.servers:
        found = inside(server)
        counts = found["counts"]
        remembered = counts.pop("calls alive")
        left += [f"{count} {what}" for what, count in counts.items() if count]
        left += [f"{remembered} calls alive"] if remembered > REMEMBERED_MOST else []
        left += [f"{count} sockets"] if (count := sockets(server) - 1) > 0 else []  # one asked just now
        if tasks := unexpected_tasks(soak, server):
            left.append(f"tasks {tasks}")
        rows = Wait.objects.filter(workspace=caller.workspace, process=found["process"])
        left += [f"the row of a wait {row}" for row in rows.values_list("kind", "channel_name", "ended")]
    return left


def what_stays(soak: Soak, caller: Caller) -> list[str]:
    """Return what is still open once everything had its time to end."""
    give_up_at = time.monotonic() + LEFT_SECONDS
    while (left := what_is_left(soak, caller)) and time.monotonic() < give_up_at:
        time.sleep(0.5)
    return left


def unexpected_tasks(soak: Soak, server: ServerProcess) -> dict[str, int]:
    """Return the tasks that were not there when the soak began; a server's own come and go by one or two."""
    before = soak.before["tasks"]
    return {name: count for name, count in inside(server)["tasks"].items() if count > before.get(name, 0) + 1}


def test_nothing_is_lost_and_nothing_is_left(soak: Soak) -> None:
    soak.last()
    caller, world = soak.caller, soak.world
    summary = (
        f"{len(world.sent)} messages, {world.calls} calls, {world.broken} broken, {world.hung_up} hung up, "
        f"{sum(each.repeated for each in soak.followers)} repeated, {soak.listened} streams, deeds {soak.deeds}"
    )
    print(f"soak: {summary}")
    assert not world.problems, "\n".join(world.problems[:5])
    assert soak.deeds, "nothing was disturbed"
    lost = {each.name: each.missing() for each in soak.followers if each.missing()}
    assert not lost, f"never handed out: {lost}; {summary}\n{told(soak, lost)}"
    assert what_stays(soak, caller) == []
    clock.shift(timedelta(minutes=5))  # the rows of processes that were killed go with the next pruning
    pruners.everywhere()
    assert laws.broken(caller) == []
    check_memory(soak)


def told(soak: Soak, names: Iterable[str]) -> str:
    """Return the last calls of these followers."""
    return "\n".join(f"{each.name}: {each.log[-15:]}" for each in soak.followers if each.name in names)


def check_memory(soak: Soak) -> None:
    """The process that lived all along does not grow; a short soak only shows the figures."""
    quarter = len(soak.memory) // 4
    early = statistics.median(soak.memory[quarter : 2 * quarter])
    late = statistics.median(soak.memory[3 * quarter :])
    print(f"soak: memory {soak.memory[0] >> 10:,} kB at first, {early / 1024:,.0f} kB, {late / 1024:,.0f} kB at last")
    if SECONDS >= TELLING_SECONDS:
        assert late - early < GROWTH_MOST, f"grew from {early:,.0f} to {late:,.0f} bytes"
