"""What it costs to hold thousands of calls that wait: memory, CPU and statements, beside the bare SDK server holding as
many. Not part of the suite:

    python -m tests.bench.idle --counts 1000,5000

Each case has a server process of its own, fresh, and warmed up. Memory is what is the process's own (smaps_rollup).
Statements are what PostgreSQL logs while nothing happens. Figures compare inside one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.installation import BARE, Installation, Meter, memory
from tests.bench.report import Report, percentile
from tests.support import lines
from tests.support.lines import ERAS, Answer, Era, Line
from tests.support.servers import ServerProcess

STATEMENTS_A_SECOND = 0.3
MEMORY_RATIO, CPU_RATIO, SEND_RATIO = 1.5, 2.0, 1.5
REST_WAITER_KB = 40.0
STATEMENTS_A_POLL = 2.0
TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
LISTEN = {"notifications": {"resourcesListChanged": True, "resourceSubscriptions": ["crosswire://channels"]}}
type Work = Callable[[Installation], Coroutine[Any, Any, None]]

AT_ONCE = 32
"""How many calls are opened at the same time."""


@dataclass
class Held:
    """What holding calls cost: bytes a call, CPU in percent of one core, statements a second."""

    bytes_each: float
    cpu_percent: float
    statements: list[str]
    seconds: float
    open_seconds: float


class Case:
    """One server process and the calls that are held open on it."""

    def __init__(self, stand: Installation, server: ServerProcess, window_seconds: float) -> None:
        self.stand = stand
        self.server = server
        self.window_seconds = window_seconds
        self.held: list[Line] = []

    async def hold(self, requests: list[bytes], is_open: Callable[[int], bool]) -> Held:
        """Open all calls, let them settle and look what they cost."""
        before = memory(self.server.pid)
        begun = time.perf_counter()
        answers: list[asyncio.Future[Answer]] = []
        for request in requests:
            if len(answers) % AT_ONCE == 0:  # no more than the server keeps up with
                await _until(lambda: is_open(len(answers) - AT_ONCE), 60)
            self.held.append(line := await Line.to(self.server.url))
            answers.append(line.ask(request))
        await _until(lambda: is_open(len(requests)) or any(answer.done() for answer in answers), 60)
        _nobody_answered(answers)
        open_seconds = time.perf_counter() - begun
        await asyncio.sleep(3)
        with self.stand.statements() as ran:
            meter = Meter(self.server.pid)
            await asyncio.sleep(self.window_seconds)
            cpu = meter.cpu_percent()
        _nobody_answered(answers)
        bytes_each = (memory(self.server.pid) - before) / len(requests)
        return Held(bytes_each, cpu, ran, self.window_seconds, open_seconds)

    async def sends(self, count: int) -> list[float]:
        """Send messages one after the other to where nobody waits; return what each took, in seconds."""
        line = await Line.to(self.server.url)
        took = []
        for number in range(count + 10):
            begun = time.perf_counter()
            answer = await line.ask(lines.send(self.stand.key, "beside", f"beside {number}"))
            answer.rest()
            if number >= 10:
                took.append(answer.at - begun)
            await asyncio.sleep(0.02)
        line.close()
        return took

    async def hang_up(self, is_free: Callable[[], bool]) -> float:
        """Hang up on every call; return how long the server took to forget them."""
        begun = time.perf_counter()
        for line in self.held:
            line.close()
        await _until(is_free, 120)
        return time.perf_counter() - begun


async def _until(is_so: Callable[[], bool], within_seconds: float) -> None:
    give_up_at = time.monotonic() + within_seconds
    while not is_so():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"not within {within_seconds:g} s")
        await asyncio.sleep(0.02)


def _nobody_answered(answers: list[asyncio.Future[Answer]]) -> None:
    for answer in answers:
        if answer.done():
            raise RuntimeError(f"a call was answered: {answer.result().body[:300]!r}")


async def warm_up(stand: Installation, url: str, requests: list[bytes]) -> None:
    """Have everything loaded and every connection made before memory is looked at."""
    held = [await Line.to(url) for _ in range(20)]
    for _ in range(5):
        for request in requests:
            await asyncio.gather(*(line.ask(request) for line in held))
    for line in held:
        line.close()


def _note(report: Report, name: str, held: Held, bare: Held | None) -> None:
    report.add(name, "memory a call", held.bytes_each / 1024, "kB")
    report.add(name, "CPU, of one core", held.cpu_percent, "%")
    report.add(name, "opened in", held.open_seconds, "s")
    if bare is not None:
        report.add(name, "memory, to the bare SDK", held.bytes_each / bare.bytes_each, "x", MEMORY_RATIO)
        report.add(name, "CPU, to the bare SDK", held.cpu_percent / max(bare.cpu_percent, 0.05), "x", CPU_RATIO)
        report.add(f"{name}, bare SDK", "memory a call", bare.bytes_each / 1024, "kB")
        report.add(f"{name}, bare SDK", "CPU, of one core", bare.cpu_percent, "%")


async def bare(stand: Installation, requests: list[bytes], warm: bytes, window: float) -> Held:
    """Hold the same calls on the bare SDK server."""
    with stand.serving(1, BARE) as (server,):
        await warm_up(stand, server.url, [warm])
        case = Case(stand, server, window)
        held = await case.hold(requests, lambda count: True)
        for line in case.held:
            line.close()
        return held


async def waiters(stand: Installation, report: Report, era: Era | None, count: int, window: float) -> None:
    """Blocking waiters, each an instance of its own on a channel of its own; `era` None waits over REST."""
    name = f"{count} waiters, {'MCP ' + era if era else 'REST wait='}"
    warm = _wait(stand.key, era, "warm", "warm", 0)
    requests = [_wait(stand.key, era, f"idle-{number}", f"idle-{number}", 20) for number in range(count)]
    compared = await bare(stand, requests, warm, window) if era else None
    with stand.serving(1) as (server,):
        await warm_up(stand, server.url, [warm, lines.send(stand.key, "beside", "warm")])
        case = Case(stand, server, window)
        stand.analyze()
        alone = await case.sends(200)
        held = await case.hold(requests, lambda expected: stand.open_waits() >= expected)
        stand.analyze()  # a new database plans each send by tables it takes for empty
        beside = await case.sends(200)
        _note(report, name, held, compared)
        if era is None:
            report.add(name, "memory a call, REST", held.bytes_each / 1024, "kB", REST_WAITER_KB)
        report.add(name, "statements a second", len(held.statements) / held.seconds, "", STATEMENTS_A_SECOND)
        for kind, times in Counter(statement[:40] for statement in held.statements).items():
            print(f"  {name:44} {times} x {kind}")
        report.times(name, "a send without them", alone)
        report.times(name, "a send beside them", beside)
        report.add(name, "send p99, to without", percentile(beside, 99) / percentile(alone, 99), "x", SEND_RATIO)
        report.add(name, "all forgotten after hanging up", await case.hang_up(lambda: not stand.open_waits()), "s")


def _wait(key: str, era: Era | None, channel: str, instance: str, minutes: float) -> bytes:
    if era is None:
        return lines.get(key, f"/messages/{channel}", instance_id=instance, wait=max(minutes * 60, 0.01))
    return lines.wait(key, era, channel, instance, max_wait_minutes=minutes)


async def listeners(stand: Installation, report: Report, count: int, window: float) -> None:
    """Idle `subscriptions/listen` streams, in as many workspaces as their limits ask for."""
    name = f"{count} listen streams"
    keys = [stand.key, *(stand.another_key() for _ in range((count - 1) // 400))]
    requests = [
        lines.rpc(keys[number % len(keys)], "2026-07-28", "subscriptions/listen", LISTEN) for number in range(count)
    ]
    warm = lines.rpc(stand.key, "2026-07-28", "tools/list", {})
    compared = await bare(stand, requests, warm, window)
    with stand.serving(1) as (server,):
        await warm_up(stand, server.url, [warm])
        case = Case(stand, server, window)
        held = await case.hold(requests, lambda expected: sum(line.has_begun for line in case.held) >= expected)
        _note(report, name, held, compared)
        report.add(name, "statements a second", len(held.statements) / held.seconds, "", STATEMENTS_A_SECOND)


async def task_waiters(stand: Installation, report: Report, count: int) -> None:
    """Waits as tasks: what one `tasks/get` asks of the database."""
    name = f"{count} task waiters"
    with stand.serving(1) as (server,):
        line = await Line.to(server.url)
        found = (await line.ask(lines.rpc(stand.key, "2026-07-28", "server/discover", {}, TASKS))).rpc()
        if "tasks" not in json.dumps(found.get("result", {}).get("capabilities", {})):
            report.skip(name, "this server does not offer tasks")
            return
        tasks = [await _task(line, stand.key, number) for number in range(count)]
        polls = [lines.rpc(stand.key, "2026-07-28", "tasks/get", {"taskId": task}, TASKS) for task in tasks]
        held = [await Line.to(server.url) for _ in polls]
        with stand.statements() as ran:
            before = Meter(server.pid)
            answers = [holder.ask(poll) for holder, poll in zip(held, polls, strict=True)]
            await asyncio.wait_for(asyncio.gather(*answers), 120)
            cpu = before.cpu_seconds()
        report.add(name, "statements a tasks/get", len(ran) / count, "", STATEMENTS_A_POLL)
        report.add(name, "CPU a tasks/get", 1_000 * cpu / count, "ms")
        for each in [line, *held]:
            each.close()


async def _task(line: Line, key: str, number: int) -> str:
    channel, instance = f"task-{number}", f"task-{number}"
    arguments = {"channel": channel, "instance_id": instance, "role": "parked"}
    request = lines.rpc(key, "2026-07-28", "tools/call", {"name": "wait_for_reply", "arguments": arguments}, TASKS)
    result: dict[str, Any] = (await line.ask(request)).rpc()["result"]
    task: dict[str, Any] = result.get("task", result)
    return str(task["taskId"])


def _work(report: Report, count: int, window: float) -> dict[str, list[Work]]:
    """Return what each part does with so many calls."""
    return {
        "mcp": [lambda stand, era=era: waiters(stand, report, era, count, window) for era in ERAS],  # type: ignore[misc]  # bound now
        "rest": [lambda stand: waiters(stand, report, None, count, window)],
        "listen": [lambda stand: listeners(stand, report, count, window)],
        "tasks": [lambda stand: task_waiters(stand, report, count)] if count <= 1_000 else [],
    }


async def measure(report: Report, counts: list[int], parts: list[str], window: float) -> None:
    """Run the chosen parts, each on an installation of its own: rows of one shall not weigh on the other."""
    for count in counts:
        todo = _work(report, count, window)
        for part in parts:
            for work in todo[part]:
                with Installation() as stand:
                    try:
                        await work(stand)
                    except (TimeoutError, RuntimeError, ConnectionError) as problem:
                        report.skip(f"{count}, {part}", f"it broke: {problem}")


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--counts", default="1000,5000", help="how many calls are held, one case for each")
    wanted.add_argument("--parts", default="mcp,rest,listen,tasks")
    wanted.add_argument("--window", type=float, default=30.0, help="seconds in which idle calls are watched")
    wanted.add_argument("--json", type=Path, help="a file that gets one JSON object for each figure")
    given = wanted.parse_args()
    report = Report("idle", given.json)
    counts = [int(count) for count in given.counts.split(",")]
    asyncio.run(measure(report, counts, given.parts.split(","), given.window))
    report.close()


if __name__ == "__main__":
    main()
