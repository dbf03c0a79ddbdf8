"""What pruning does to who sends meanwhile: on PostgreSQL, half of the messages of a large workspace go while it and
another one are sent to. Not part of the suite:

    python -m tests.bench.prune --messages 2000000

Starts servers of its own and removes them. PostgreSQL runs without fsync. `manage.py prune` is a process of its own;
sends come through HTTP at a steady rate, before, during and after it. Figures compare inside one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.bench.installation import Installation
from tests.bench.report import Report, percentile
from tests.support import lines
from tests.support.homes import ROOT
from tests.support.lines import Line
from tests.support.processes import end, spawn, tail, wait_until

P99_TIMES = 2.0
"""How many times as long the 99th percentile of a send may be while a workspace is pruned."""
DAYS = 30
NAME = "large"
LOADING_SECONDS = 10.0
"""How long the command may take until it begins; sends of that time count for neither side."""

FILL = """
INSERT INTO bus_message (workspace_id, number, channel_id, channel_seq, sender, sender_kind, verified, message_type,
                         content, reply_count, created_at, words)
SELECT %(workspace)s, n, %(channel)s, n, 'agent-' || n %% 20, 'agent', false, 'message',
       repeat(md5(n::text) || ' ', 6), 0,
       now() - interval '1 day' * CASE WHEN n <= %(half)s THEN 40 ELSE 10 END + interval '1 millisecond' * n / 1000,
       array_to_tsvector(ARRAY(SELECT DISTINCT %(workspace)s || 'xw' || (hashint8(n * 31 + word) & 32767)
                                 FROM generate_series(1, 12) AS word))
  FROM generate_series(1, %(count)s) AS n
"""
"""Numbers, times and texts of which each has twelve words out of 32,768."""


def fill(stand: Installation, count: int) -> str:
    """Make a workspace with so many messages, half of them expired; return its key."""
    key = stand.another_key(NAME)
    with psycopg.connect(stand.home.database_url, autocommit=True) as database:
        overrides = json.dumps({"retention_days": DAYS})
        database.execute("UPDATE accounts_workspace SET overrides = %s WHERE name = %s", [overrides, NAME])
        workspace = _one(database, "SELECT id FROM accounts_workspace WHERE name = %s", NAME)
        channel = _one(database, "SELECT id FROM bus_channel WHERE workspace_id = %s", workspace)
        index = _one(database, "SELECT indexdef FROM pg_indexes WHERE indexname = %s", "message_words")
        database.execute("DROP INDEX message_words")
        given = {"workspace": workspace, "channel": channel, "count": count, "half": count // 2}
        database.execute(FILL, given)
        database.execute(str(index))
        database.execute("UPDATE bus_counters SET last_number = %(count)s WHERE workspace_id = %(workspace)s", given)
        database.execute(
            "UPDATE bus_channel SET last_seq = %(count)s, last_number = %(count)s WHERE id = %(channel)s", given
        )
        database.execute("VACUUM ANALYZE bus_message")
    return key


def _one(database: psycopg.Connection, query: str, *params: object) -> object:
    row = database.execute(query, params).fetchone()
    assert row is not None, query
    return row[0]


type Took = list[tuple[float, float]]
"""When a send began and how long it took, in seconds."""


async def send_steadily(url: str, key: str, rate: float, took: Took, is_over: Callable[[], bool]) -> None:
    """Send about so many a second until it is over; note when each began and how long it took."""
    line = await Line.to(url)
    due = time.perf_counter()
    while not is_over():
        due += random.uniform(0.5, 1.5) / rate  # noqa: S311 - any moment
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        begun = time.perf_counter()
        answer = await line.ask(lines.send(key, "general", "something of no great length " * 6))
        answer.rest()
        took.append((begun, answer.at - begun))
    line.close()


async def measure(stand: Installation, keys: dict[str, str], report: Report, given: argparse.Namespace) -> None:
    """Send before, during and after pruning; report the times and how they compare."""
    took: dict[str, Took] = {name: [] for name in keys}
    over = asyncio.Event()
    log = stand.home.folder / "prune.log"
    with stand.serving(2) as servers:
        senders = [
            asyncio.create_task(send_steadily(servers[at % 2].url, key, given.rate, took[name], over.is_set))
            for name, key in keys.items()
            for at in range(given.senders)
        ]
        await asyncio.sleep(5)  # the first ones warm up
        started = time.perf_counter()
        await asyncio.sleep(given.quiet)
        pruner = spawn([sys.executable, "manage.py", "prune"], log, env=stand.home.environment(), cwd=ROOT)
        try:
            await asyncio.to_thread(_until_begun, stand)  # it loads Django first, as no worker does
            begun = time.perf_counter()
            await asyncio.to_thread(pruner.wait)
            ended = time.perf_counter()
            await asyncio.sleep(given.quiet)
        finally:
            over.set()
            end(pruner)
        await asyncio.gather(*senders)
    if pruner.returncode:
        raise RuntimeError(tail(log))
    print(tail(log), flush=True)
    _tell(report, took, started, begun, ended)
    report.add("pruning", "messages a second", given.messages // 2 / (ended - begun), "")
    report.add("pruning", "seconds", ended - begun, "s")
    report.add("pruning", "expired messages that are left", _expired(stand), "", 0)


def _tell(report: Report, took: dict[str, Took], since: float, begun: float, ended: float) -> None:
    for name, all_of_it in took.items():
        quiet = [seconds for at, seconds in all_of_it if since < at < begun - LOADING_SECONDS or at > ended]
        during = [seconds for at, seconds in all_of_it if begun <= at <= ended]
        report.times(f"send, {name}, {len(quiet)} of them", "nothing else", quiet)
        report.times(f"send, {name}, {len(during)} of them", "while pruning", during)
        times = percentile(during, 99) / percentile(quiet, 99)
        report.add(f"send, {name}", "p99 while pruning, times as long", times, "x", P99_TIMES)


def _until_begun(stand: Installation) -> None:
    wait_until(lambda: bool(stand.fetch("SELECT 1 FROM accounts_prunerun")), 60, lambda: "pruning does not begin")


def _expired(stand: Installation) -> float:
    expired = "SELECT count(*) FROM bus_message WHERE created_at < now() - interval '%s days'"
    found: int = stand.fetch(expired % DAYS)[0][0]
    return float(found)


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--messages", type=int, default=2_000_000, help="half of them have expired")
    wanted.add_argument("--senders", type=int, default=2, help="connections to each of the two workspaces")
    wanted.add_argument("--rate", type=float, default=10.0, help="sends a second on each connection")
    wanted.add_argument("--quiet", type=float, default=60.0, help="seconds to send before, and again after, pruning")
    wanted.add_argument("--json", type=Path)
    given = wanted.parse_args()
    report = Report("prune", given.json)
    with Installation() as stand:
        begun = time.perf_counter()
        large = fill(stand, given.messages)
        print(f"{given.messages:,} messages stored in {time.perf_counter() - begun:.0f} s", flush=True)
        asyncio.run(measure(stand, {"to the workspace that is pruned": large, "to another": stand.key}, report, given))
    report.close()


if __name__ == "__main__":
    main()
