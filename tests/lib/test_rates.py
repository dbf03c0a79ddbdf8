"""Token buckets, in this process and in Redis: the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.conf import settings
from prometheus_client import REGISTRY

from crosswire.lib import rates, redis_clients
from crosswire.lib.rates import Bucket, Refusal
from tests.conftest import Clock
from tests.support.databases import RedisServer

type Take = Callable[[list[Bucket]], Refusal | None]


@pytest.fixture(params=["threads", "loop"])
def take(request: pytest.FixtureRequest) -> Iterator[Take]:
    """Both ways to take; on the PostgreSQL home from Redis, else in this process."""
    with asyncio.Runner() as runner:
        yield rates.take if request.param == "threads" else lambda buckets: runner.run(rates.atake(buckets))
        runner.run(redis_clients.close())


def bucket(per_minute: int) -> Bucket:
    return Bucket(f"test:{uuid4().hex}", per_minute)


def test_a_bucket_holds_one_minutes_worth_and_tells_when_it_holds_more(take: Take) -> None:
    small = bucket(3)
    assert [take([small]) for _ in range(3)] == [None] * 3
    assert take([small]) == Refusal(small, 20)


def test_it_fills_evenly_and_never_above_its_size(take: Take, clock: Clock) -> None:
    small = bucket(3)
    for _ in range(3):
        take([small])
    clock.forward(seconds=21)
    assert take([small]) is None
    assert take([small]) is not None
    clock.forward(hours=1)
    assert [take([small]) is None for _ in range(4)] == [True, True, True, False]


def test_of_two_buckets_both_are_taken_from_or_none(take: Take) -> None:
    large, small = bucket(100), bucket(1)
    assert take([large, small]) is None
    refusal = take([large, small])
    assert refusal is not None
    assert refusal.bucket == small
    for _ in range(99):
        assert take([large]) is None
    assert take([large]) is not None, "the refused call took from the other bucket, too"


def test_a_clock_that_stands_behind_fills_nothing(take: Take, clock: Clock) -> None:
    small = bucket(1)
    clock.forward(seconds=30)
    assert take([small]) is None
    clock.forward(seconds=-30)
    assert take([small]) is not None


def test_clocks_that_differ_between_machines_fill_nothing(take: Take, clock: Clock) -> None:
    small = bucket(10)
    taken = 0
    for turn in range(60):
        clock.forward(seconds=5 if turn % 2 else -5)
        taken += take([small]) is None
    assert taken <= 12


async def test_many_callers_at_once_do_not_take_redis_for_away() -> None:
    small = bucket(20)
    try:
        answers = await asyncio.gather(*(rates.atake([small]) for _ in range(300)))
    finally:
        await redis_clients.close()
    assert answers.count(None) <= 22  # it fills while they ask


def test_parallel_callers_get_exactly_what_is_in_it() -> None:
    shared = bucket(50)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: rates.take([shared]), range(80)))
    assert answers.count(None) == 50


def unchecked() -> float:
    return REGISTRY.get_sample_value("crosswire_rates_unchecked_total") or 0.0


def test_without_redis_calls_pass_and_are_counted_and_with_it_again_they_are_held(
    take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RedisServer.start()
    monkeypatch.setattr(settings, "REDIS_URL", server.url)
    monkeypatch.setattr(redis_clients, "PAUSE_SECONDS", 0.0)
    asyncio.run(redis_clients.close())  # what is connected to another one
    try:
        small = bucket(1)
        assert take([small]) is None
        assert take([small]) is not None
        before = unchecked()
        server.kill()
        assert [take([small]) for _ in range(3)] == [None] * 3
        assert unchecked() == before + 3
        server.restart()
        assert take([small]) is None, "a new Redis has forgotten"
        assert take([small]) is not None
    finally:
        server.stop()
        asyncio.run(redis_clients.close())
