"""How fast a message reaches who waits: over two server processes on PostgreSQL and Redis. Not part of the suite:

    python -m tests.bench.waiting --samples 200

Starts servers of its own and removes them. PostgreSQL runs without fsync. Times are the client's, on the same machine
as everything else; from the send's acknowledgement (what a waiter waits beyond the sender) and from its beginning.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.installation import Installation, until_open
from tests.bench.report import Report, percentile
from tests.support import lines
from tests.support.lines import ERAS, Line

WAKE = {50: 5.0, 99: 25.0}
"""Milliseconds from the acknowledgement, by percentile."""
FAN_OUT_MS = 100.0
type MakeWait = Callable[[str, str, int], bytes]
"""From channel, instance and the last id seen to a request that waits."""

_rooms = itertools.count(1)


def waits(key: str) -> dict[str, MakeWait]:
    """Return the ways to wait."""
    ways: dict[str, MakeWait] = {
        f"MCP {era}": lambda channel, who, last, era=era: lines.wait(key, era, channel, who, after_id=last)  # type: ignore[misc]  # bound now
        for era in ERAS
    }
    ways["REST wait="] = lambda channel, who, last: lines.get(
        key, f"/messages/{channel}", instance_id=who, after_id=last, wait=600
    )
    return ways


async def wakes(stand: Installation, sender: str, waiter: str, make: MakeWait, samples: int) -> dict[str, list[float]]:
    """Wait on one server, send on another; return seconds from the acknowledgement and from the send's beginning."""
    channel = f"wake-{next(_rooms)}"
    sending, waiting = await Line.to(sender), await Line.to(waiter)
    last = (await sending.ask(lines.send(stand.key, channel, "first"))).rest()["id"]
    took: dict[str, list[float]] = {"from the acknowledgement": [], "from the send": []}
    for number in range(samples + 5):
        answer = waiting.ask(make(channel, "waiter", last))
        until_open(stand, 1, channel=channel)
        await asyncio.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - any moment
        begun = time.perf_counter()
        sent = await sending.ask(lines.send(stand.key, channel, f"wake {number}"))
        got = await asyncio.wait_for(answer, 30)
        last = sent.rest()["id"]
        if f"wake {number}".encode() not in got.body:
            raise RuntimeError(f"not the message: {got.body[:300]!r}")
        if number >= 5:  # the first ones warm up
            took["from the acknowledgement"].append(got.at - sent.at)
            took["from the send"].append(got.at - begun)
    sending.close()
    waiting.close()
    return took


async def wake_latency(stand: Installation, urls: list[str], report: Report, samples: int) -> None:
    """Wakes across processes and inside one, for every way to wait."""
    for name, make in waits(stand.key).items():
        for where, sender, waiter in (("two processes", urls[0], urls[1]), ("one process", urls[0], urls[0])):
            took = await wakes(stand, sender, waiter, make, samples)
            for since, seconds in took.items():
                targets = WAKE if since == "from the acknowledgement" else None
                report.times(f"wake, {name}, {where}", since, seconds, targets)


async def fan_out(stand: Installation, urls: list[str], report: Report, waiters: int, rounds: int) -> None:
    """One send to many who wait on one channel, half of them on each process."""
    make = waits(stand.key)["MCP 2026-07-28"]
    held = [await Line.to(urls[number % len(urls)]) for number in range(waiters)]
    sending = await Line.to(urls[0])
    last = (await sending.ask(lines.send(stand.key, "fan", "first"))).rest()["id"]
    reached: dict[str, list[float]] = {"first": [], "half": [], "all": []}
    for number in range(rounds + 1):
        answers = [line.ask(make("fan", f"fan-{who}", last)) for who, line in enumerate(held)]
        until_open(stand, waiters, channel="fan")
        await asyncio.sleep(0.2)
        sent = await sending.ask(lines.send(stand.key, "fan", f"round {number}"))
        got = sorted((await asyncio.wait_for(asyncio.gather(*answers), 60)), key=lambda answer: answer.at)
        last = sent.rest()["id"]
        if not all(f"round {number}".encode() in answer.body for answer in got):
            raise RuntimeError("a waiter was answered something else")
        if number:  # the first round warms up
            for part, which in (("first", 0), ("half", waiters // 2), ("all", waiters - 1)):
                reached[part].append(got[which].at - sent.at)
    for part, seconds in reached.items():
        most = FAN_OUT_MS if part == "all" else None
        report.add(f"fan-out to {waiters}", f"{part} from the ack, p50", 1_000 * percentile(seconds, 50), "ms", most)
        report.add(f"fan-out to {waiters}", f"{part} from the ack, max", 1_000 * max(seconds), "ms")
    for line in [*held, sending]:
        line.close()


async def measure(stand: Installation, report: Report, samples: int, waiters: int, rounds: int) -> None:
    """Run it all on two server processes."""
    with stand.serving(2) as servers:
        urls = [server.url for server in servers]
        if samples:
            await wake_latency(stand, urls, report, samples)
        if rounds:
            await fan_out(stand, urls, report, waiters, rounds)


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--samples", type=int, default=200)
    wanted.add_argument("--waiters", type=int, default=50)
    wanted.add_argument("--rounds", type=int, default=10)
    wanted.add_argument("--json", type=Path, help="a file that gets one JSON object for each figure")
    given = wanted.parse_args()
    report = Report("waiting", given.json)
    with Installation() as stand:
        asyncio.run(measure(stand, report, given.samples, given.waiters, given.rounds))
    report.close()


if __name__ == "__main__":
    main()
