"""The product as `served` has it, and `GET /stages`: what database work costs by kind, and what objects there are."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import Counter, defaultdict
from typing import Any

from crosswire.lib import executor, http
from tests.bench.served import application as product

_work: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0])
_job = executor._job


def _measured(began: float, work: Any, args: Any, kwargs: Any) -> Any:
    before = time.thread_time()
    try:
        return _job(began, work, args, kwargs)
    finally:
        told = _work[getattr(work, "__name__", "?")]
        told[0] += 1
        told[1] += time.thread_time() - before


executor._job = _measured


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer /stages here, everything else as the product does."""
    if scope["type"] != "http" or scope["path"] != "/stages":
        await product(scope, receive, send)
        return
    gc.collect()
    types = Counter(type(each).__qualname__ for each in gc.get_objects())
    found: dict[str, Any] = {"process": time.process_time(), "work": dict(_work), "types": types, "files": {}}
    if tracemalloc.is_tracing():
        lines = tracemalloc.take_snapshot().statistics("filename")
        found["files"] = {line.traceback[0].filename: [line.size, line.count] for line in lines[:150]}
    await http.reply_json(send, 200, found)
