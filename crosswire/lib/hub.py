"""Publish and subscribe: what one part of the product tells the others after a commit.

Whoever listens in this process is told at once, in the publisher's thread. With REDIS_URL the other processes hear it
too: one thread sends, so that no commit waits for Redis, another listens, in processes that asked for it (`listen`).
What goes unheard while Redis is away must be harmless: listeners on `CONNECTION` are told when it is back, and look.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from threading import Condition, Event, Lock, Thread
from typing import Any

import orjson
import redis
from django.conf import settings

from crosswire.lib import redis_clients

logger = logging.getLogger(__name__)

type Listener = Callable[[dict[str, Any]], None]

CONNECTION = "hub.connection"
"""This process began or ceased to hear the others, or one of them could not tell everything: {"is_connected"}. Told in
this process alone."""
_DROPPED = "hub.dropped"
"""What another process says before it goes on, when it has kept more than it may."""
TICK_SECONDS = 0.25
SILENCE_SECONDS = 0.75
"""After so long without a word Redis is asked whether it is there."""
ANSWER_SECONDS = 0.75
"""How long it has to answer."""
PAUSE_SECONDS = 0.5
"""Between attempts to connect or to send."""
BATCH = 500
UNSENT_MOST = 10_000
"""How much is kept for Redis while it is away; of more, the oldest is dropped, and others are told so."""

_listeners: dict[str, list[Listener]] = {}
_lock = Lock()


def subscribe(topic: str, listener: Listener) -> Callable[[], None]:
    """Call `listener(payload)` for everything published on `topic`; return the function that ends it.

    Listeners run in the publisher's thread (or in the hub's, for other processes), must be quick and must not raise.
    """
    with _lock:
        _listeners.setdefault(topic, []).append(listener)

    def unsubscribe() -> None:
        with _lock:
            if listener in _listeners.get(topic, []):
                _listeners[topic].remove(listener)

    return unsubscribe


def publish(topic: str, payload: dict[str, Any]) -> None:
    """Tell everyone who listens on `topic`, here and in the other processes.

    A listener that fails is logged and hinders nobody; neither does a Redis that is away.
    """
    _tell(topic, payload)
    if settings.REDIS_URL:
        _publisher.enqueue(topic, payload)


def listen() -> None:
    """Hear the other processes from now on, if there is a Redis to hear them through."""
    if settings.REDIS_URL:
        _subscriber.start()


def is_connected() -> bool:
    """Return whether what other processes publish is heard here now."""
    return _subscriber.is_connected


def close() -> None:
    """Send what is still to be sent and end the threads; `listen` and `publish` begin anew."""
    _publisher.close()
    _subscriber.close()


def _tell(topic: str, payload: dict[str, Any]) -> None:
    for listener in tuple(_listeners.get(topic, ())):
        try:
            listener(payload)
        except Exception:  # a push that fails must never fail the send behind it
            logger.exception("hub_listener_failed", extra={"topic": topic})


@cache
def _pool() -> redis.ConnectionPool:
    """Return what makes the listening connection."""
    patience = redis_clients.PATIENCE_SECONDS
    return redis.ConnectionPool.from_url(
        settings.REDIS_URL, protocol=2, socket_timeout=patience, socket_connect_timeout=patience
    )


def _channel() -> str:
    """Return the channel in Redis. Its name carries the database's number, which publish and subscribe ignore."""
    return f"crosswire:hub:{_pool().connection_kwargs.get('db', 0)}"


class _Publisher:
    """Sends what this process publishes, in its own thread, many at a time if many wait."""

    def __init__(self) -> None:
        self.origin = secrets.token_hex(8)
        self._unsent: deque[bytes] = deque(maxlen=UNSENT_MOST)
        self._batch: list[bytes] = []
        self._has_dropped = False
        self._changed = Condition()
        self._thread: Thread | None = None
        self._is_closing = False

    def enqueue(self, topic: str, payload: dict[str, Any]) -> None:
        """Have it sent soon."""
        try:
            text = self._text(topic, payload)
        except TypeError:
            logger.exception("hub_not_json", extra={"topic": topic})
            return
        with self._changed:
            self._has_dropped = self._has_dropped or len(self._unsent) == self._unsent.maxlen
            self._unsent.append(text)
            if self._thread is None:
                self._is_closing = False
                self._thread = Thread(target=self._run, name="hub-publisher", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _text(self, topic: str, payload: dict[str, Any]) -> bytes:
        return orjson.dumps({"origin": self.origin, "topic": topic, "payload": payload})

    def close(self) -> None:
        """End the thread, after a moment for what is unsent."""
        with self._changed:
            thread = self._thread
            self._is_closing = True
            self._changed.notify_all()
        if thread is not None:
            thread.join(2 * redis_clients.PATIENCE_SECONDS)

    def _run(self) -> None:
        while self._take():
            try:
                self._send()
            except redis_clients.AWAY as problem:
                redis_clients.note_away(problem)
                self._pause()
            except Exception:  # the thread must live on: nobody would hear of anything any more
                logger.exception("hub_send_failed")
                self._batch.clear()

    def _take(self) -> bool:
        """Wait until there is something to send; return False at the end."""
        with self._changed:
            while not (self._batch or self._unsent or self._is_closing):
                self._changed.wait()
            if self._has_dropped:
                logger.warning("hub_dropped")
                self._batch.append(self._text(_DROPPED, {}))
                self._has_dropped = False
            while self._unsent and len(self._batch) < BATCH:
                self._batch.append(self._unsent.popleft())
            if not self._batch:
                self._thread = None
            return bool(self._batch)

    def _send(self) -> None:
        pipeline = redis_clients.client().pipeline(transaction=False)
        for text in self._batch:
            pipeline.publish(_channel(), text)
        pipeline.execute()
        self._batch.clear()

    def _pause(self) -> None:
        """Wait before the next attempt; at the end there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing, PAUSE_SECONDS)
            if self._is_closing:
                self._batch.clear()
                self._unsent.clear()


class _Subscriber:
    """Hears what other processes publish, in its own thread on a connection of its own."""

    def __init__(self) -> None:
        self.is_connected = False
        self._thread: Thread | None = None
        self._stop = Event()
        self._lock = Lock()

    def start(self) -> None:
        """Begin to listen, unless it does already."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._stop = Event()
                self._thread = Thread(target=self._run, args=(self._stop,), name="hub-subscriber", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
        if thread is not None:
            thread.join(2.0)

    def _run(self, stop: Event) -> None:
        while not stop.is_set():
            try:
                connection: Any = _pool().make_connection()
                try:
                    connection.connect()
                    self._hear(connection, stop)
                finally:
                    connection.disconnect()
            except redis_clients.AWAY as problem:
                self._note(is_connected=False, problem=problem)
            except Exception:
                logger.exception("hub_listening_failed")
                self._note(is_connected=False)
            stop.wait(PAUSE_SECONDS)
        self._note(is_connected=False)

    def _hear(self, connection: Any, stop: Event) -> None:
        """Take what comes until the end. Raises: whatever Redis raises when it is away, TimeoutError when silent."""
        connection.send_command("SUBSCRIBE", _channel())
        heard_at = time.monotonic()
        asked_at: float | None = heard_at
        while not stop.is_set():
            if connection.can_read(timeout=TICK_SECONDS):
                self._take(connection.read_response(timeout=redis_clients.PATIENCE_SECONDS))
                heard_at, asked_at = time.monotonic(), None
            elif asked_at is not None:
                if time.monotonic() - asked_at >= ANSWER_SECONDS:
                    raise TimeoutError("silent")
            elif time.monotonic() - heard_at >= SILENCE_SECONDS:
                connection.send_command("PING")
                asked_at = time.monotonic()

    def _take(self, answer: Any) -> None:
        match answer:
            case [b"subscribe", *_]:
                self._note(is_connected=True)
            case [b"message", _, text]:
                _receive(text)

    def _note(self, *, is_connected: bool, problem: BaseException | None = None) -> None:
        if is_connected == self.is_connected:
            return
        self.is_connected = is_connected
        if problem is not None:
            logger.warning("hub_away: %s", type(problem).__name__)
        else:
            logger.info("hub_connected" if is_connected else "hub_closed")
        _tell(CONNECTION, {"is_connected": is_connected})


def _receive(text: bytes) -> None:
    """Pass on what another process said; nobody but us should say anything here, so anything else is ignored."""
    try:
        said = orjson.loads(text)
        origin, topic, payload = said["origin"], said["topic"], said["payload"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        origin = topic = payload = None
    if not isinstance(topic, str) or not isinstance(payload, dict) or topic == CONNECTION:
        logger.warning("hub_heard_nonsense: %d bytes", len(text))
    elif origin != _publisher.origin:
        _tell(*(CONNECTION, {"is_connected": is_connected()}) if topic == _DROPPED else (topic, payload))


def _renew() -> None:
    """Begin anew in a forked process: threads stay behind, and the name must be its own."""
    global _publisher, _subscriber
    _publisher, _subscriber = _Publisher(), _Subscriber()
    _pool.cache_clear()


_publisher, _subscriber = _Publisher(), _Subscriber()
os.register_at_fork(after_in_child=_renew)
atexit.register(close)
