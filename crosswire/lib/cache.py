"""The cache, which counts attempts to sign in and remembers codes that were used: without Redis in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from crosswire.lib import redis_clients


class Cache(RedisCache):
    """Django's cache in Redis; while that is away each process keeps its own, so that people can still sign in and
    those who guess are still counted."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        patience = redis_clients.PATIENCE_SECONDS
        options = {"socket_timeout": patience, "socket_connect_timeout": patience, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})
        self._own = LocMemCache("while-redis-is-away", {})

    def add(self, *args: Any, **kwargs: Any) -> bool:
        """Store a value unless there is one."""
        return bool(self._ask(super().add, self._own.add, *args, **kwargs))

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Return a value."""
        return self._ask(super().get, self._own.get, *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Store a value."""
        self._ask(super().set, self._own.set, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        """Forget a value."""
        return bool(self._ask(super().delete, self._own.delete, *args, **kwargs))

    def _ask(self, redis: Callable[..., Any], own: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if redis_clients.is_worth_asking():
            try:
                return redis(*args, **kwargs)
            except redis_clients.AWAY as problem:
                redis_clients.note_away(problem)
        return own(*args, **kwargs)
