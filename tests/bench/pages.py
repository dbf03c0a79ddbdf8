"""What the pages of a workspace with many messages cost the server. Not part of the suite:

    python -m tests.bench.pages --home postgres --messages 100000

Starts a database of its own, fills one workspace, asks for each page through Django's test client and removes it. A
page's line: median and 95th percentile of the processor's time in milliseconds (the database's own, where it is another
process, aside: a machine with other things to do does not falsify it), queries, kilobytes. Add yours to PAGES.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from tests.support.homes import Run

if TYPE_CHECKING:
    from django.test import Client

PAGES = {
    "overview": "",
    "presence": "presence",
    "instances": "instances",
    "search": "search?q=orders",
    "shared data": "data/",
    "connect": "connect",
    "keys": "keys",
    "billing": "billing",
    "members": "members",
    "audit log": "audit",
    "settings": "settings",
    "channels": "channels/",
    "channel": "channels/general/",
    "channel, older": "channels/general/?before={middle}",
    "channel, around": "channels/general/?around={middle}",
    "message": "channels/general/messages/{middle}/",
}
"""Pages by name: their address below the workspace's own. `{middle}`: a message halfway."""
CHANNELS = 40
TEXTS = (
    "Done. The migration took **4 minutes** on a copy of production.\n\n- `orders` is reversible\n- the index is built",
    "```python\ndef forwards(apps, schema_editor):\n    for batch in batched(rows, 500):\n        update(batch)\n```",
    "Who reviews https://example.com/pull/42 before it goes out?",
    "| part | p50 | p95 |\n|---|---|---|\n| query | 41 ms | 210 ms |\n| render | 12 ms | 31 ms |",
    "word " * 160,
)
MILLISECONDS_MOST, QUERIES_MOST, KILOBYTES_MOST = 100, 20, 200


def fill(messages: int) -> tuple[Any, int]:
    """Store the messages of one workspace through the services; return a person in it and a message halfway."""
    from bus.services import messages as service  # noqa: PLC0415 - Django is set up by `main`
    from tests.support.cast import make_workspace  # noqa: PLC0415 - as above
    from tests.support.messages import principal_of  # noqa: PLC0415 - as above
    from tests.support.people import owner_of  # noqa: PLC0415 - as above

    caller = make_workspace("unlimited")
    principal = principal_of(caller)
    for start in range(0, messages, 500):
        drafts = [
            service.draft(
                principal,
                channel="general" if number % 2 else f"channel-{number % CHANNELS}",
                sender=f"agent-{number % 25}",
                content=TEXTS[number % len(TEXTS)],
                message_type=("message", "request", "response", "status")[number % 4],
            )
            for number in range(start, min(start + 500, messages))
        ]
        service.send_many(drafts)
    return owner_of(caller), messages // 4 * 2


def measure(client: Client, address: str, times: int) -> tuple[list[float], int, float]:
    """Ask for a page so often; return the milliseconds of each, its queries and its kilobytes."""
    from django.db import connection  # noqa: PLC0415 - Django is set up by `main`
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415 - as above

    client.get(address)
    took = []
    for _ in range(times):
        began = time.process_time()
        answer = client.get(address)
        took.append((time.process_time() - began) * 1000)
        assert answer.status_code == 200, (address, answer.status_code)
    with CaptureQueriesContext(connection) as ran:
        size = len(client.get(address).content)
    asked = [query for query in ran if not query["sql"].startswith(("BEGIN", "COMMIT"))]
    return sorted(took), len(asked), size / 1000


def main() -> None:
    """Measure every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", choices=("sqlite", "postgres"), default="postgres")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=30)
    options = parser.parse_args()
    run = Run.join(options.home)
    try:
        run.home.enter()
        import django  # noqa: PLC0415 - it reads the settings

        django.setup()
        run.prepare()
        person, middle = fill(options.messages)
        if options.home == "postgres":
            from django.db import connection  # noqa: PLC0415 - as above

            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
        client = person.client()
        print(f"{options.messages:,} messages on {run.describe()}")
        for name, path in PAGES.items():
            took, queries, kilobytes = measure(client, person.home + path.format(middle=middle), options.times)
            median, slow = took[len(took) // 2], took[len(took) * 95 // 100]
            is_good = median < MILLISECONDS_MOST and queries < QUERIES_MOST and kilobytes < KILOBYTES_MOST
            mark = "" if is_good else "  MISSED"
            print(f"{name:20} p50 {median:7.1f}  p95 {slow:7.1f}  {queries:3} queries  {kilobytes:6.1f} kB{mark}")
    finally:
        from django.db import connections  # noqa: PLC0415 - as above

        connections.close_all()
        run.leave()


if __name__ == "__main__":
    main()
