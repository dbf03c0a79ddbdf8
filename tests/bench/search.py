"""What search costs, and what its index costs a send. Not part of the suite:

    python tests/bench/search.py --home postgres --messages 1000000 --workspaces 1000

Starts a database of its own, fills it (three messages in ten belong to one large workspace), measures through the
services and removes it. Figures compare inside one run only.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.homes import Run

if TYPE_CHECKING:
    from accounts.principals import Principal

QUERIES = {
    "10 hits": "rareword",
    "1,000 hits": "midword",
    "1 in 15": "someword",
    "1 in 3": "frequent",
    "in every one": "everyword",
    "frequent elsewhere": "elsewhere",
    "frequent long ago": "longago",
    "rare and frequent": "rareword everyword",
    "three letters": "kat",
    "no hits": "nosuchword",
    "literal, found": "日本",
    "literal, not found": "POL-3",
}


def texts(messages: int, workspaces: int) -> Iterator[tuple[int, str]]:
    """Yield (index of the workspace, text): words by Zipf's law, 8 to 72 of them, and the words that are looked for."""
    chance = random.Random(1)  # noqa: S311 - the same texts every time
    syllables = ["ka", "lo", "mi", "ter", "ven", "sor", "pla", "net", "dru", "bex", "qui", "ran", "tos", "ful", "gim"]
    words = sorted({"".join(chance.choices(syllables, k=k)) for k in (2, 3, 4) for _ in range(12_000)})
    chance.shuffle(words)
    weights = list(itertools.accumulate(1 / (rank + 5) for rank in range(len(words))))
    large = 3 * messages // 10
    count = 0
    for index in range(messages):
        text = chance.choices(words, cum_weights=weights, k=chance.randint(8, 72))
        if index % 10 < 3:
            count += 1
            every = {"rareword": large // 10, "midword": large // 1_000, "someword": 15, "frequent": 3}
            text += [word for word, step in every.items() if count % max(step, 1) == 0]
            text += ["elsewhere"] if count % (large // 5) == 0 else []
            text += ["longago"] if count < large // 10 else []
            text += ["日本"] if count % 40 == 0 else []
        elif index % 2:
            text.append("elsewhere")
        yield (0 if index % 10 < 3 else chance.randrange(1, workspaces)), " ".join([*text, "everyword"])


def fill(principals: list[Principal], messages: int) -> None:
    """Store the messages, many at once, past the services."""
    from django.db import connection, transaction  # noqa: PLC0415 - Django is set up by `main`

    from bus import fulltext  # noqa: PLC0415 - as above
    from bus.models import Channel, Counters  # noqa: PLC0415 - as above
    from crosswire.lib import clock  # noqa: PLC0415 - as above

    ids = [each.workspace_id for each in principals]
    channels = dict(Channel.objects.filter(name="general").values_list("workspace", "pk"))
    numbers = dict.fromkeys(ids, 0)
    now = connection.ops.adapt_datetimefield_value(clock.now())
    columns = "workspace_id, number, channel_id, channel_seq, sender, sender_kind, verified, message_type, content"
    sql = f"INSERT INTO bus_message ({columns}, reply_count, created_at, words) VALUES ({', '.join(['%s'] * 12)})"  # noqa: S608
    stream = texts(messages, len(ids))
    while batch := list(itertools.islice(stream, 10_000)):
        rows = []
        for index, text in batch:
            workspace = ids[index]
            numbers[workspace] += 1
            number, by = numbers[workspace], f"agent-{numbers[workspace] % 20}"
            row = (workspace, number, channels[workspace], number, by, "agent", False, "message", text, 0, now)
            rows.append((*row, fulltext.words_column(workspace, text)))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(sql, rows)
    for workspace, number in numbers.items():
        Counters.objects.filter(workspace=workspace).update(last_number=number)
        Channel.objects.filter(workspace=workspace).update(last_seq=number, last_number=number)


def milliseconds(work: Callable[[], Any], times: int) -> str:
    """Return the median and the 95th percentile of so many runs."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    mean = sum(took) / times
    return f"p50 {took[times // 2]:8.2f}  p95 {took[times * 95 // 100]:8.2f}  max {took[-1]:8.2f}  mean {mean:8.2f}"


def sizes() -> str:
    """Return how large the table and the index are."""
    from django.db import connection  # noqa: PLC0415 - Django is set up by `main`

    sql = (
        "SELECT pg_size_pretty(pg_table_size('bus_message')), pg_size_pretty(pg_relation_size('message_words')),"
        " pg_size_pretty(sum(pg_column_size(words))) FROM bus_message"
        if connection.vendor == "postgresql"
        else "SELECT (SELECT sum(pgsize) FROM dbstat WHERE name = 'bus_message') >> 20,"
        " (SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'message_words%') >> 20,"
        " (SELECT sum(length(words)) FROM bus_message) >> 20"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        table, index, column = cursor.fetchone()
    return f"table {table}, its index of words {index}, the column in the table {column}"


def send(principal: Principal, batch: int) -> None:
    """Store a batch through the service."""
    from bus.services import messages  # noqa: PLC0415 - Django is set up by `main`

    stream = (" ".join(text) for text in iter(lambda: random.choices(WORDS, k=40), None))  # noqa: S311 - texts
    messages.send_many(
        [messages.draft(principal, channel="general", sender="bench", content=next(stream)) for _ in range(batch)]
    )


WORDS = [f"{first}{last}" for first in ("kalo", "miter", "vensor", "planet") for last in map(str, range(2_000))]


def measure(principals: list[Principal], *, is_indexed: bool) -> None:
    """Print what sends cost, with the index or without it."""
    label = "indexed" if is_indexed else "without words"
    print(f"send 1, {label:14}", milliseconds(lambda: send(principals[0], 1), 400))
    print(f"send 50, {label:13}", milliseconds(lambda: send(principals[0], 50), 100), flush=True)


def prune(principal: Principal) -> None:
    """Delete a thousand messages."""
    from bus.models import Message  # noqa: PLC0415 - Django is set up by `main`

    mine = Message.objects.filter(workspace=principal.workspace_id).order_by("number")
    Message.objects.filter(pk__in=list(mine.values_list("pk", flat=True)[:1_000])).delete()


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--home", choices=("sqlite", "postgres"), default="sqlite")
    wanted.add_argument("--messages", type=int, default=50_000)
    wanted.add_argument("--workspaces", type=int, default=50)
    given = wanted.parse_args()
    with ExitStack() as after:
        run = Run.join(given.home)
        after.callback(run.leave)
        run.home.enter()
        import django  # noqa: PLC0415 - the settings are chosen now

        django.setup()
        from django.db import connection  # noqa: PLC0415 - as above

        from accounts.principals import authenticate  # noqa: PLC0415 - as above
        from bus import fulltext  # noqa: PLC0415 - as above
        from bus.services import search  # noqa: PLC0415 - as above
        from tests.support.cast import make_workspace  # noqa: PLC0415 - as above

        run.prepare()
        fulltext.SECONDS_MOST = 60.0
        principals = [authenticate(make_workspace("unlimited").key) for _ in range(given.workspaces)]
        begun = time.perf_counter()
        fill(principals, given.messages)
        print(f"{run.describe()}, {given.messages:,} messages stored in {time.perf_counter() - begun:.0f} s")
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE bus_message" if given.home == "postgres" else "ANALYZE")
        print(sizes(), flush=True)
        for index in (0, 1):
            for name, query in QUERIES.items():
                figures = milliseconds(lambda p=principals[index], q=query: search.search(p, query=q), 20)  # type: ignore[misc]  # bound now
                print(f"{'large' if not index else 'small'}  {name:20} {figures}", flush=True)
        measure(principals, is_indexed=True)
        print("prune 1,000 messages", milliseconds(lambda: prune(principals[0]), 5), flush=True)
        fulltext.words_column = lambda workspace_id, content: None  # type: ignore[assignment,return-value]  # null
        measure(principals, is_indexed=False)
        connection.close()
        if given.home == "postgres":
            connection.close_pool()  # type: ignore[attr-defined] # PostgreSQL's alone


if __name__ == "__main__":
    main()
