"""Token buckets: how many calls a minute somebody may make. In Redis for all processes together, else in this one.

A bucket holds one minute's worth and fills evenly. Several are taken from together or not at all. Redis away: calls
pass, and a metric counts them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

from django.conf import settings

from crosswire.lib import clock, metrics, redis_clients

REMEMBERED_MOST = 100_000


class Bucket(NamedTuple):
    """A name, and how many calls a minute it allows."""

    name: str
    per_minute: int


class Refusal(NamedTuple):
    """The bucket that is empty, and in how many whole seconds it holds a call again."""

    bucket: Bucket
    retry_after: int


# KEYS: buckets. ARGV: now in milliseconds, then each one's calls a minute. Returns 0, or the index of the first
# bucket without a call in it and the milliseconds until it has one.
_SCRIPT = """
local now = tonumber(ARGV[1])
local left, latest = {}, {}
for i, key in ipairs(KEYS) do
  local size = tonumber(ARGV[i + 1])
  local kept = redis.call('HMGET', key, 'left', 'at')
  local at = tonumber(kept[2]) or now
  latest[i] = math.max(now, at)
  left[i] = math.min(size, (tonumber(kept[1]) or size) + math.max(0, now - at) * size / 60000)
  if left[i] < 1 then
    return {i, math.ceil((1 - left[i]) * 60000 / size)}
  end
end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, 'left', tostring(left[i] - 1), 'at', string.format('%.0f', latest[i]))
  redis.call('PEXPIRE', key, 61000)
end
return {0, 0}
"""


def take(buckets: Sequence[Bucket]) -> Refusal | None:
    """Take a call from each bucket; None when all had one. For threads."""
    if not settings.REDIS_URL:
        return _local.take(buckets)
    if redis_clients.is_worth_asking():
        try:
            script = redis_clients.script(_SCRIPT)
            return _outcome(buckets, script(keys=_keys(buckets), args=_arguments(buckets)))
        except redis_clients.AWAY as problem:
            redis_clients.note_away(problem)
    metrics.RATES_UNCHECKED.inc()
    return None


async def atake(buckets: Sequence[Bucket]) -> Refusal | None:
    """Take a call from each bucket; None when all had one. For the event loop."""
    if not settings.REDIS_URL:
        return _local.take(buckets)
    if redis_clients.is_worth_asking():
        try:
            script = redis_clients.async_script(_SCRIPT)
            return _outcome(buckets, await script(keys=_keys(buckets), args=_arguments(buckets)))
        except redis_clients.AWAY as problem:
            redis_clients.note_away(problem)
    metrics.RATES_UNCHECKED.inc()
    return None


def _keys(buckets: Sequence[Bucket]) -> list[str]:
    return [f"crosswire:rate:{bucket.name}" for bucket in buckets]


def _arguments(buckets: Sequence[Bucket]) -> list[int]:
    return [milliseconds_now(), *(bucket.per_minute for bucket in buckets)]


def milliseconds_now() -> int:
    """Return the time as buckets count it."""
    return int(clock.now().timestamp() * 1000)


def _outcome(buckets: Sequence[Bucket], answer: Any) -> Refusal | None:
    index, milliseconds = int(answer[0]), int(answer[1])
    return Refusal(buckets[index - 1], max(1, math.ceil(milliseconds / 1000))) if index else None


class _Local:
    """The buckets of this process: what is left of each, and as of when."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = Lock()

    def take(self, buckets: Sequence[Bucket]) -> Refusal | None:
        """As `take`."""
        now = milliseconds_now()
        with self._lock:
            left: list[tuple[float, int]] = []
            for bucket in buckets:
                kept, at = self._left.get(bucket.name, (float(bucket.per_minute), now))
                filled = min(bucket.per_minute, kept + max(0, now - at) * bucket.per_minute / 60_000)
                if filled < 1:
                    seconds = (1 - filled) * 60 / bucket.per_minute
                    return Refusal(bucket, max(1, math.ceil(seconds)))
                left.append((filled - 1, max(now, at)))
            for bucket, rest in zip(buckets, left, strict=True):
                self._left[bucket.name] = rest
                self._left.move_to_end(bucket.name)
            while len(self._left) > REMEMBERED_MOST:
                self._left.popitem(last=False)
        return None


_local = _Local()
