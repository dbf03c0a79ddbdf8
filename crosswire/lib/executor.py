"""Where database work of the asynchronous surfaces runs: one bounded pool of threads per process.

Outside Django's request cycle nobody closes a broken connection, so this does. A thread keeps its connection
between jobs; a restart of the database is noticed before the next job by a look at the socket (no statement).
"""

from __future__ import annotations

import asyncio
import contextvars
import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.db import connection

from crosswire.lib.database import PATIENCE_SECONDS, DatabaseProblem, patience
from crosswire.lib.errors import unavailable

_pool: ThreadPoolExecutor | None = None


def pool() -> ThreadPoolExecutor:
    """Return this process's pool, made on first use (so after a server's fork)."""
    global _pool  # noqa: PLW0603 - one pool a process
    if _pool is None:
        _pool = ThreadPoolExecutor(settings.EXECUTOR_THREADS, thread_name_prefix="crosswire-db")
    return _pool


async def run[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run sync database work on the pool and return its result; context variables are carried over.

    Raises: CrossWireError `unavailable` when a request has no patience left by the time it is its turn.
    """
    context = contextvars.copy_context()
    began = time.monotonic()
    return await asyncio.get_running_loop().run_in_executor(pool(), context.run, _job, began, work, args, kwargs)


def _job(began: float, work: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if (ours := patience.get()) is not None:
        ours.left -= time.monotonic() - began
        if ours.left <= 0:
            raise unavailable("The server is busy.")
    _drop_if_dead()
    began = time.monotonic()
    try:
        return work(*args, **kwargs)
    except DatabaseProblem:
        if ours is not None:  # whatever failed has waited: the rest of the request shall not wait as long again
            ours.left = min(ours.left, PATIENCE_SECONDS - (time.monotonic() - began))
        connection.close()
        raise


def _drop_if_dead() -> None:
    """Close the thread's connection when its socket has something to say while idle: a server that went away."""
    raw = connection.connection
    if raw is None or connection.vendor != "postgresql":
        return
    if raw.closed or _has_news(raw):
        raw.close()  # else the pool would take it for a good one and hand it out again
        connection.close()


def _has_news(raw: Any) -> bool:
    """Return whether an idle connection's socket can be read (or cannot even be asked)."""
    try:
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True
