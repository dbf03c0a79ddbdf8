"""The status page: what the service depends on, in words for people, asked seldom however many look."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import ConnectionError as RedisAwayError

from crosswire import health
from crosswire.lib import clock, redis_clients
from crosswire.site import status
from crosswire.tasks import beat
from tests.support.sites import Parts, stranger


class FakeRedis:
    """Answers, or is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away

    def ping(self) -> bool:
        """Answer, or not."""
        if self.is_away:
            raise RedisAwayError
        return True


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "REDIS_URL", "")
    status.note_beat()
    status.forget()
    yield
    status.forget()
    cache.delete(status._BEAT)


def with_redis(monkeypatch: pytest.MonkeyPatch, *, is_away: bool = False) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://secret:word@redis.invalid:6379/0")
    monkeypatch.setattr(redis_clients, "client", lambda: FakeRedis(is_away=is_away))


def shown(code: int = 200) -> str:
    answer = stranger().get("/status")
    assert answer.status_code == code
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    parts = Parts()
    parts.feed(answer.content.decode())
    return parts.text


def test_a_service_that_works_says_so() -> None:
    text = shown()
    assert "Everything works" in text
    assert "Messages working" in text
    assert "Version" in text


def test_a_database_that_is_away_is_told_with_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "is_database_there", lambda: False)
    text = shown(503)
    assert "Messages cannot be stored or read now" in text
    assert "Messages away" in text


def test_the_database_is_asked_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False])
    monkeypatch.setattr(health, "is_database_there", lambda: next(answers))
    for _ in range(5):
        assert "Everything works" in shown()
    status.forget()
    shown(503)


def test_with_redis_the_jobs_are_looked_at_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with_redis(monkeypatch)
    cache.delete(status._BEAT)
    assert "Background jobs not seen" in shown()
    beat()
    status.forget()
    text = shown()
    assert "Everything works" in text
    assert "Background jobs working They last ran" in text
    assert "secret" not in text
    assert "redis" not in text.lower()
    late = clock.now() - timedelta(minutes=4)
    cache.set(status._BEAT, late)
    status.forget()
    text = shown()
    assert "Background jobs late" in text
    assert f"{late:%H:%M:%S} UTC" in text


def test_a_redis_that_is_away_makes_waking_slow_and_nothing_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    with_redis(monkeypatch, is_away=True)
    text = shown()
    assert "Messages flow, something else does not" in text
    assert "Waking slow" in text


def test_who_is_signed_in_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "is_database_there", lambda: False)
    client: Any = stranger()
    client.cookies["sessionid"] = "whoever"
    answer = client.get("/status")
    assert answer.status_code == 503
    assert "Your workspace" in answer.content.decode()
