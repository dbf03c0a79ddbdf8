"""Database work that several threads of this process do at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from crosswire.lib.errors import CrossWireError

PATIENCE_SECONDS = 60.0


def at_once(*works: Callable[[], object]) -> list[str]:
    """Begin all works together; return for each, in order, the code it was refused with, "" when it was not."""
    start = threading.Barrier(len(works))

    def begin(work: Callable[[], object]) -> str:
        start.wait(PATIENCE_SECONDS)
        try:
            work()
        except CrossWireError as refusal:
            return refusal.code
        finally:
            connections.close_all()
        return ""

    with ThreadPoolExecutor(len(works), thread_name_prefix="race") as threads:
        return [future.result(PATIENCE_SECONDS) for future in [threads.submit(begin, work) for work in works]]
