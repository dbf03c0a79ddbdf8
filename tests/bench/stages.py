"""Where the CPU of a wake and the memory of an idle waiter go. Not part of the suite:

python -m tests.bench.stages --waits 300 --held 500
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

from crosswire.lib.text import channel_name
from tests.bench.installation import AS_SHIPPED, Installation, until_open
from tests.bench.report import Report
from tests.bench.waiting import waits
from tests.support import lines
from tests.support.lines import Answer, Line
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess

STAGED = "tests.bench.staged:application"


def stages(server: ServerProcess) -> dict[str, Any]:
    """Return what the server has counted so far."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as asking:
        asking.request("GET", "/stages")
        found: dict[str, Any] = json.loads(asking.getresponse().read())
    return found


async def wake_stages(stand: Installation, report: Report, count: int) -> None:
    """CPU of the waiter's process for one whole wait, from the request to the answer, by what it goes into."""
    with stand.serving(2, STAGED) as (sender, waiter):
        sending = await Line.to(sender.url)
        for name, make in waits(stand.key).items():
            waiting = await Line.to(waiter.url)
            await _wakes(stand, sending, waiting, f"warm {name}", make, 20)
            before = stages(waiter)
            idle = stages(waiter)["process"] - before["process"]  # the look itself
            before = stages(waiter)
            await _wakes(stand, sending, waiting, f"stage {name}", make, count)
            after = stages(waiter)
            total = after["process"] - before["process"] - idle
            report.add(f"a wait, {name}", "CPU, all of it", 1e6 * total / count, "us")
            for work, (calls, seconds) in after["work"].items():
                known = before["work"].get(work, [0, 0.0])
                if calls > known[0]:
                    label = f"{work}, {(calls - known[0]) / count:.1f} times"
                    report.add(f"a wait, {name}", label, 1e6 * (seconds - known[1]) / count, "us")
                    total -= seconds - known[1]
            report.add(f"a wait, {name}", "everything else (loop, SDK, hub)", 1e6 * total / count, "us")
            waiting.close()


async def _wakes(
    stand: Installation, sending: Line, waiting: Line, channel: str, make: Callable[[str, str, int], bytes], count: int
) -> None:
    channel = channel_name(channel)
    last = (await sending.ask(lines.send(stand.key, channel, "first"))).rest()["id"]
    for _ in range(count):
        answer = waiting.ask(make(channel, "waiter", last))
        until_open(stand, 1, channel=channel)
        last = (await sending.ask(lines.send(stand.key, channel, "more"))).rest()["id"]
        await asyncio.wait_for(answer, 30)


async def objects(stand: Installation, report: Report, count: int) -> None:
    """What an idle waiter holds: bytes by the file that asked for them, and objects by type."""
    for name, make in waits(stand.key).items():
        with ServerProcess(
            stand.home, app=STAGED, arguments=AS_SHIPPED, env={"PYTHONTRACEMALLOC": "1"}, is_cold=True
        ) as server:
            held = [await Line.to(server.url) for _ in range(count)]
            for line in held[:10]:
                await line.ask(lines.get(stand.key, "/messages/warm", instance_id="warm", wait=0.01))
            before = stages(server)
            waiting: list[asyncio.Future[Answer]] = []
            for number, line in enumerate(held):
                waiting.append(line.ask(make(f"held-{number}", f"held-{number}", 0)))
                if not number % 10:
                    await asyncio.sleep(0.05)
            until_open(stand, count)
            after = stages(server)
            _tell(report, f"an idle waiter, {name}", before, after, count)
            for line in held:
                line.close()
            wait_until(lambda: not stand.open_waits(), 60, lambda: "waits are left over")


def _tell(report: Report, case: str, before: dict[str, Any], after: dict[str, Any], count: int) -> None:
    grown = {name: size - before["files"].get(name, [0])[0] for name, (size, _) in after["files"].items()}
    report.add(case, "traced bytes in all", sum(grown.values()) / count, "B")
    for name, size in sorted(grown.items(), key=lambda each: -each[1])[:14]:
        report.add(case, name.rpartition("site-packages/")[2][-34:], size / count, "B")
    types = {name: number - before["types"].get(name, 0) for name, number in after["types"].items()}
    many = [f"{name} {number / count:.1f}" for name, number in sorted(types.items(), key=lambda each: -each[1])[:25]]
    print(f"  {case}: objects: {', '.join(many)}")


async def measure(report: Report, wakes: int, held: int) -> None:
    """Do both."""
    with Installation() as stand:
        if wakes:
            await wake_stages(stand, report, wakes)
        if held:
            await objects(stand, report, held)


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--waits", type=int, default=300)
    wanted.add_argument("--held", type=int, default=500)
    given = wanted.parse_args()
    report = Report("stages")
    asyncio.run(measure(report, given.waits, given.held))


if __name__ == "__main__":
    main()
