"""Publish and subscribe: what one part of the product tells the others after a commit.

Inside one process it is a dictionary of callbacks. Carrying the same topics between processes (through Redis) is
a second transport behind the same two functions; publishers and subscribers do not change for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

logger = logging.getLogger(__name__)

type Listener = Callable[[dict[str, Any]], None]

_listeners: dict[str, list[Listener]] = {}
_lock = Lock()


def subscribe(topic: str, listener: Listener) -> Callable[[], None]:
    """Call `listener(payload)` for everything published on `topic`; return the function that ends it.

    Listeners run in the publisher's thread, must be quick and must not raise.
    """
    with _lock:
        _listeners.setdefault(topic, []).append(listener)

    def unsubscribe() -> None:
        with _lock:
            if listener in _listeners.get(topic, []):
                _listeners[topic].remove(listener)

    return unsubscribe


def publish(topic: str, payload: dict[str, Any]) -> None:
    """Tell everyone who listens on `topic`. A listener that fails is logged and hinders nobody."""
    for listener in tuple(_listeners.get(topic, ())):
        try:
            listener(payload)
        except Exception:  # a push that fails must never fail the send behind it
            logger.exception("hub_listener_failed", extra={"topic": topic})
