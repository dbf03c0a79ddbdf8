"""The hub: listeners in this process at once, other processes through Redis, whatever becomes of Redis."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import redis
from django.conf import settings

from crosswire.lib import hub, redis_clients
from tests.support.databases import RedisServer
from tests.support.processes import wait_until

SOON = 20.0
OTHER = "another process"


def until(is_so: Callable[[], bool], otherwise: str) -> None:
    wait_until(is_so, SOON, lambda: otherwise)


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """What was published on `topic`."""
    payloads: list[dict[str, Any]] = []
    end = hub.subscribe("topic", payloads.append)
    yield payloads
    end()


# --- in this process --------------------------------------------------------------------------------------------


def test_listeners_hear_at_once_in_the_publishers_thread(heard: list[dict[str, Any]]) -> None:
    threads: list[int] = []
    end = hub.subscribe("topic", lambda payload: threads.append(threading.get_ident()))
    hub.publish("topic", {"n": 1})
    end()
    hub.publish("topic", {"n": 2})
    hub.publish("other", {"n": 3})
    assert heard == [{"n": 1}, {"n": 2}]
    assert threads == [threading.get_ident()]


def test_a_listener_that_fails_hinders_nobody(heard: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    def fail(payload: dict[str, Any]) -> None:
        raise ValueError("a fault")

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(hub._listeners, "topic", [fail, *hub._listeners["topic"]])
        hub.publish("topic", {"n": 1})
    assert heard == [{"n": 1}]
    assert "hub_listener_failed" in caplog.text


# --- through Redis ----------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis of the test's own, and a hub that has just begun to use it."""
    before = hub._publisher, hub._subscriber
    hub.close()
    started = RedisServer.start()
    monkeypatch.setattr(settings, "REDIS_URL", started.url)
    for cached in (hub._pool, redis_clients.client, redis_clients.script):
        cached.cache_clear()
    yield started
    hub.close()
    started.stop()
    monkeypatch.undo()
    hub._publisher, hub._subscriber = before
    for cached in (hub._pool, redis_clients.client, redis_clients.script):
        cached.cache_clear()


@pytest.fixture
def connected(server: RedisServer) -> RedisServer:
    """The same, once it listens."""
    hub.listen()
    until(hub.is_connected, "the hub does not connect")
    return server


def say(server: RedisServer, text: bytes | dict[str, Any], database: int = 0) -> None:
    """Say something as another process would."""
    body = text if isinstance(text, bytes) else orjson.dumps({"origin": OTHER, "topic": "topic", **text})
    with redis.Redis.from_url(server.url) as client:
        client.publish(f"crosswire:hub:{database}", body)


def said(server: RedisServer, do: Callable[[], None], count: int) -> list[dict[str, Any]]:
    """Return what is said to other processes while something is done."""
    with redis.Redis.from_url(server.url) as client, client.pubsub() as listening:
        listening.subscribe("crosswire:hub:0")
        assert listening.get_message(timeout=SOON)
        do()
        found: list[dict[str, Any]] = []
        while len(found) < count:
            message = listening.get_message(timeout=SOON)
            assert message, f"{len(found)} of {count} were said"
            found.append(orjson.loads(message["data"]))
        return found


def test_what_another_process_publishes_is_heard(connected: RedisServer, heard: list[dict[str, Any]]) -> None:
    say(connected, {"payload": {"n": 1}})
    until(lambda: heard == [{"n": 1}], f"{heard}")


def test_other_processes_are_told_in_order_and_this_one_once(
    connected: RedisServer, heard: list[dict[str, Any]]
) -> None:
    def do() -> None:
        for number in range(1_200):
            hub.publish("topic", {"n": number})

    told = said(connected, do, 1_200)
    assert [each["payload"]["n"] for each in told] == list(range(1_200))
    assert {(each["origin"], each["topic"]) for each in told} == {(hub._publisher.origin, "topic")}
    say(connected, {"payload": {"n": "last"}})
    until(lambda: heard[-1] == {"n": "last"}, "the other process is not heard")
    assert len(heard) == 1_201, "its own words came back"


def test_who_never_listens_can_publish_and_opens_no_subscriber(server: RedisServer) -> None:
    assert said(server, lambda: hub.publish("topic", {}), 1)[0]["payload"] == {}
    assert not hub.is_connected()
    assert not [thread for thread in threading.enumerate() if thread.name == "hub-subscriber"]


def test_another_installation_on_the_same_redis_is_not_heard(
    server: RedisServer, heard: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", server.url.removesuffix("0") + "3")
    hub.listen()
    until(hub.is_connected, "the hub does not connect")
    say(server, {"payload": {"n": "theirs"}})
    say(server, {"payload": {"n": "ours"}}, database=3)
    until(lambda: bool(heard), "nothing is heard")
    assert heard == [{"n": "ours"}]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"no json",
        b"\xff",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        {"payload": "text"},
        {"payload": {}, "topic": 7},
        {"payload": {"is_connected": False}, "topic": hub.CONNECTION},
    ],
)
def test_nonsense_from_elsewhere_is_logged_and_ignored(
    connected: RedisServer,
    heard: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    nonsense: bytes | dict[str, Any],
) -> None:
    say(connected, nonsense)
    say(connected, {"payload": {"n": 1}})
    until(lambda: heard == [{"n": 1}], f"{heard}")
    assert "hub_heard_nonsense" in caplog.text


def test_what_is_no_json_is_told_here_alone(
    connected: RedisServer, heard: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    hub.publish("topic", {"n": object()})
    assert len(heard) == 1
    assert "hub_not_json" in caplog.text


# --- Redis comes and goes ---------------------------------------------------------------------------------------


@pytest.fixture
def turns() -> Iterator[list[bool]]:
    """Whether others are heard, each time that changed."""
    seen: list[bool] = []
    end = hub.subscribe(hub.CONNECTION, lambda payload: seen.append(payload["is_connected"]))
    yield seen
    end()


@dataclass
class Attempts:
    """The publisher's: an event for the first that failed, and one before which there is no other."""

    has_failed: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def attempts(connected: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Attempts:
    made = Attempts()

    def pause() -> None:
        made.has_failed.set()
        made.may_go_on.wait(SOON)

    monkeypatch.setattr(hub._publisher, "_pause", pause)
    return made


def test_a_redis_that_is_away_is_noticed_and_found_again(
    server: RedisServer, turns: list[bool], heard: list[dict[str, Any]]
) -> None:
    hub.listen()
    until(lambda: turns == [True], f"{turns}")
    server.kill()
    until(lambda: turns == [True, False], f"{turns}")
    assert not hub.is_connected()
    hub.publish("topic", {"n": "meanwhile"})
    assert heard == [{"n": "meanwhile"}]
    server.restart()
    until(lambda: turns == [True, False, True], f"{turns}")
    say(server, {"payload": {"n": "after"}})
    until(lambda: {"n": "after"} in heard, f"{heard}")


def test_what_was_published_while_redis_was_away_is_told_when_it_is_back(
    connected: RedisServer, attempts: Attempts
) -> None:
    connected.kill()
    for number in range(3):
        hub.publish("topic", {"n": number})
    assert attempts.has_failed.wait(SOON)
    connected.restart()
    assert [each["payload"]["n"] for each in said(connected, attempts.may_go_on.set, 3)] == [0, 1, 2]


def test_of_too_much_the_oldest_is_dropped_and_others_are_told_that_something_was(
    connected: RedisServer, attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub._publisher, "_unsent", deque[bytes](maxlen=2))
    connected.kill()
    hub.publish("topic", {"n": 0})
    assert attempts.has_failed.wait(SOON)  # it is tried again; the others come after it
    for number in range(1, 5):
        hub.publish("topic", {"n": number})
    connected.restart()
    told = said(connected, attempts.may_go_on.set, 4)
    assert [(each["topic"], each["payload"]) for each in told] == [
        ("topic", {"n": 0}),
        (hub._DROPPED, {}),
        ("topic", {"n": 3}),
        ("topic", {"n": 4}),
    ]


def test_whoever_hears_that_something_was_dropped_looks_as_when_others_are_heard_again(
    connected: RedisServer, turns: list[bool]
) -> None:
    say(connected, {"topic": hub._DROPPED, "payload": {}})
    until(lambda: turns == [True], f"{turns}")


def test_a_redis_that_is_frozen_is_noticed_and_holds_nobody_up(connected: RedisServer, turns: list[bool]) -> None:
    assert connected._process is not None
    os.kill(connected._process.pid, signal.SIGSTOP)
    try:
        for number in range(500):
            hub.publish("topic", {"n": number})
        until(lambda: turns == [False], f"{turns}")
    finally:
        os.kill(connected._process.pid, signal.SIGCONT)
    until(lambda: turns == [False, True], f"{turns}")


def test_threads_end_with_the_hub_and_begin_anew(connected: RedisServer, heard: list[dict[str, Any]]) -> None:
    def threads() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("hub-"))

    hub.publish("topic", {})
    assert threads() == ["hub-publisher", "hub-subscriber"]
    hub.close()
    assert threads() == []
    assert not hub.is_connected()
    hub.listen()
    until(hub.is_connected, "the hub does not connect again")
    say(connected, {"payload": {"n": 1}})
    until(lambda: {"n": 1} in heard, f"{heard}")


def test_ending_says_what_was_still_unsaid(server: RedisServer) -> None:
    def do() -> None:
        for number in range(50):
            hub.publish("topic", {"n": number})
        hub.close()

    assert len(said(server, do, 50)) == 50


def test_ending_waits_for_no_redis_that_is_away(server: RedisServer) -> None:
    server.kill()
    hub.publish("topic", {})
    hub.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "hub-publisher"]
