"""Connections to Redis, quick to give up: nothing that Redis is used for may hold a call up when it is away.

After a failure nobody asks for a second, so that a Redis which swallows packets costs one call its patience and not
every call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextvars import Context
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.5
PAUSE_SECONDS = 1.0
AWAY = (RedisError, OSError, TimeoutError)
"""What an absent or failing Redis raises."""

# `timeout` is for a turn at one of the connections: many calls at once are no reason to take Redis for away.
_OPTIONS: dict[str, Any] = {
    "max_connections": 50,
    "timeout": 10 * PATIENCE_SECONDS,
    "socket_timeout": PATIENCE_SECONDS,
    "socket_connect_timeout": PATIENCE_SECONDS,
}


class _OwnContext(redis.asyncio.connection.AbstractConnection):
    """A connection opened in nobody's context: its transport keeps that, and would keep the request which was first
    to need it, and all it was told, for as long as the connection lasts."""

    async def connect(self) -> None:
        """Open it."""
        opening = super().connect()  # type: ignore[no-untyped-call] # the client has no types there
        await asyncio.get_running_loop().create_task(opening, context=Context())


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = WeakKeyDictionary()
_away_until = 0.0


@cache
def client() -> redis.Redis:
    """Return this process's client for threads."""
    return redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(settings.REDIS_URL, **_OPTIONS))


def async_client() -> redis.asyncio.Redis:
    """Return the running event loop's client."""
    loop = asyncio.get_running_loop()
    known = _of_loops.get(loop)
    if known is None:
        pool = redis.asyncio.BlockingConnectionPool.from_url(settings.REDIS_URL, **_OPTIONS)
        pool.connection_class = type("Connection", (_OwnContext, pool.connection_class), {})
        known = _of_loops[loop] = redis.asyncio.Redis.from_pool(pool)
    return known


@cache
def script(text: str) -> Any:
    """Return a Lua script as a function of `keys` and `args`, for threads."""
    return client().register_script(text)


def async_script(text: str) -> Any:
    """Return a Lua script as an awaitable function of `keys` and `args`, for the running event loop."""
    return async_client().register_script(text)


async def close() -> None:
    """Close the connections of the running event loop and of the threads; later calls open new ones."""
    if (known := _of_loops.pop(asyncio.get_running_loop(), None)) is not None:
        await known.aclose(close_connection_pool=True)
    if client.cache_info().currsize:
        client().close()
    client.cache_clear()
    script.cache_clear()


def is_worth_asking() -> bool:
    """Return whether Redis has not failed within the last second."""
    return time.monotonic() >= _away_until


def note_away(problem: BaseException) -> None:
    """Remember that Redis failed, and say so."""
    global _away_until  # noqa: PLW0603 - one Redis a process
    if not is_worth_asking():
        return  # said already
    _away_until = time.monotonic() + PAUSE_SECONDS
    logger.warning("redis_away: %s", type(problem).__name__)
