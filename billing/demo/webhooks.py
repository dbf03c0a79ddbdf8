"""Events on their way to the product: signed, tried again, and as disordered as a test wants them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import random
import time
from collections.abc import Callable
from threading import Thread
from urllib.parse import urlsplit

import orjson

from billing.demo import api
from billing.demo.world import Object, World
from crosswire.lib import clock

RETRY_SECONDS = (60, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 36_000, 36_000, 36_000, 36_000)
"""How long after each failed attempt the next one is made; three days in all, as Stripe does."""
TICK_SECONDS = 0.5
ANSWER_SECONDS = 30.0

type Post = Callable[[bytes, str], int]
"""Sends a payload with its signature header; returns the status."""

logger = logging.getLogger(__name__)


def signature(secret: str, payload: bytes, at: int) -> str:
    """Return the header `Stripe-Signature` of a payload."""
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + payload, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def poster(url: str) -> Post:
    """Return what sends payloads to an address."""
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection

    def post(payload: bytes, signed: str) -> int:
        connection = connect(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
        try:
            headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signed}
            connection.request("POST", parts.path, payload, {**headers, "User-Agent": "Stripe/1.0 (demo payments)"})
            answer = connection.getresponse()
            answer.read()  # who hangs up in the middle leaves the server to tidy up after a broken request
            return answer.status
        finally:
            connection.close()

    return post


class Deliverer:
    """A thread that delivers what is due, one at a time. `post` sends; it may be replaced."""

    def __init__(self, world: World, post: Post) -> None:
        self.world = world
        self.post = post
        self.is_ended = False
        self._thread: Thread | None = None
        self._is_sending = False

    def start(self) -> None:
        """Begin, once; the thread ends with the process or by `stop`."""
        with self.world.lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="demo-webhooks", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread after the delivery under way."""
        self.is_ended = True
        with self.world.woken:
            self.world.woken.notify_all()
        if self._thread:
            self._thread.join(ANSWER_SECONDS)

    def settle(self, within_seconds: float = 20.0) -> None:
        """Wait until nothing is due any more. Raises: TimeoutError."""
        until = time.monotonic() + within_seconds
        with self.world.woken:
            while self._is_sending or self._due():
                if time.monotonic() > until:
                    raise TimeoutError(f"Webhooks are still under way after {within_seconds:g} s.")
                self.world.woken.wait(0.05)

    def _run(self) -> None:
        while not self.is_ended:
            try:
                self._tick()
            except Exception:  # whatever it is, the next delivery may work
                logger.exception("demo_webhooks_broke")

    def _tick(self) -> None:
        with self.world.woken:
            api.catch_up(self.world)
            due = self._due()
            if not due:
                self.world.woken.wait(TICK_SECONDS)
                return
            modes = self.world.data["webhooks"]
            chosen = random.choice(due) if modes["is_shuffled"] else due[0]  # noqa: S311 - disorder, not secrecy
            self._is_sending = True
        try:
            self._deliver(chosen)
        finally:
            with self.world.woken:
                self._is_sending = False
                self.world.woken.notify_all()

    def _due(self) -> list[Object]:
        """Return what is to be delivered now, in order."""
        if self.world.data["webhooks"]["is_held"]:
            return []
        now = self.world.now()
        return [each for each in self.world.data["deliveries"] if each["at"] <= now]

    def _deliver(self, delivery: Object) -> None:
        with self.world.lock:
            event = self.world.find("event", delivery["event"])
            modes = dict(self.world.data["webhooks"])
            is_dropped = event is None or event["type"] in modes["drop"] or "*" in modes["drop"]
            payload = orjson.dumps(self.world.public(event), option=orjson.OPT_INDENT_2) if event else b""
            secret = self.world.data["webhook_secret"]
        is_received = is_dropped
        if not is_dropped:
            for _ in range(max(1, modes["copies"])):
                is_received = self._send(secret, payload)
        with self.world.transaction():
            self._note(delivery["event"], is_received=is_received)

    def _send(self, secret: str, payload: bytes) -> bool:
        at = max(int(time.time()), int(clock.now().timestamp()))
        try:
            status = self.post(payload, signature(secret, payload, at))
        except (OSError, http.client.HTTPException) as problem:
            logger.info("demo_webhook_failed", extra={"problem": type(problem).__name__})
            return False
        return 200 <= status < 300

    def _note(self, event_id: str, *, is_received: bool) -> None:
        """Note how a delivery went, and when it is tried again."""
        deliveries = self.world.data["deliveries"]
        delivery = next((each for each in deliveries if each["event"] == event_id), None)
        if delivery is None:
            return
        self.world.touch()
        attempts = delivery["attempts"] = delivery["attempts"] + 1
        if is_received or attempts > len(RETRY_SECONDS):
            deliveries.remove(delivery)
            if is_received and (event := self.world.find("event", event_id)):
                event["pending_webhooks"] = 0
        else:
            delivery["at"] = self.world.now() + RETRY_SECONDS[attempts - 1]


def replay(world: World, event_id: str) -> None:
    """Deliver an event again."""
    world.get("event", event_id)
    world.data["deliveries"].append({"event": event_id, "attempts": 0, "at": world.now(), "status": "due"})
    world.touch()
