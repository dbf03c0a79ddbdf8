"""Everything the stand-in remembers, behind one lock, in memory or in one file that survives restarts."""

from __future__ import annotations

import copy
import logging
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, RLock
from typing import Any

import orjson

from billing.demo.errors import ApiError, missing
from billing.demo.shapes import Object, plan_of
from crosswire.lib import clock, env

__all__ = ["API_VERSION", "Cause", "Object", "World", "new_id"]
API_VERSION = "2026-10-28.endive"
DAY = 86_400
MOST_EVENTS = 1_000
EVENT_SECONDS = 30 * DAY
ANSWER_SECONDS = DAY
"""How long the answer to an idempotency key is remembered."""
MANY_BYTES = 20_000_000
"""A larger state is told of in the log."""
_LETTERS = string.ascii_letters + string.digits

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cause:
    """The request that changes something; a change by the clock has none."""

    request_id: str | None = None
    idempotency_key: str | None = None


def new_id(prefix: str, length: int = 24) -> str:
    """Return an unguessable id as Stripe makes them."""
    return f"{prefix}_" + "".join(secrets.choice(_LETTERS) for _ in range(length))


def fresh_state() -> Object:
    """Return the state of an account nobody used yet."""
    return {
        "key": new_id("sk_test", 48),
        "webhook_secret": new_id("whsec", 32),
        "offset": 0,
        "objects": {},
        "deliveries": [],
        "answers": {},
        "modes": {"declines": 0, "outage": "", "after_last_retry": "cancel"},
        "webhooks": {"copies": 1, "is_shuffled": False, "is_held": False, "drop": []},
    }


def secrets_in(path: Path) -> tuple[str, str]:
    """Return the key and the webhook secret of the account a file remembers; it is begun when there is none."""
    if not path.exists():
        env.write_private(path, orjson.dumps(fresh_state()).decode())
    kept = orjson.loads(path.read_bytes())
    return kept["key"], kept["webhook_secret"]


class World:
    """One account. Whoever reads or changes it does so inside `reading` or `changing_all`."""

    def __init__(self, path: Path | None, base_url: str, webhook_url: str | None, **secret: str) -> None:
        self.path = path
        self.base_url = base_url.rstrip("/")
        self.webhook_url = webhook_url
        self.lock = RLock()
        self.woken = Condition(self.lock)
        self.moment: int | None = None
        self.cause = Cause()
        self._is_changed = False
        self.data: Object = self._load()
        self.data.update({name: value for name, value in secret.items() if value})
        self._saved = orjson.dumps(self.data)
        self._write()

    def _load(self) -> Object:
        fresh = fresh_state()
        if self.path is None or not self.path.exists():
            return fresh
        return {**fresh, **orjson.loads(self.path.read_bytes())}

    # --- changing ---------------------------------------------------------------------------------------------
    @contextmanager
    def transaction(self, cause: Cause | None = None) -> Iterator[None]:
        """Do all of it or, when it is refused, nothing; then keep it."""
        with self.lock:
            self.cause = cause or Cause()
            try:
                yield
            except ApiError as refusal:
                if not refusal.is_kept:
                    self._undo()
                raise
            except BaseException:
                self._undo()
                raise
            finally:
                self.cause = Cause()
                self._keep()

    def _undo(self) -> None:
        """Go back to what was kept last; a decline that was asked for is used up all the same."""
        modes = self.data["modes"]
        self.data = orjson.loads(self._saved)
        self._is_changed = bool(self.data["modes"] != modes)
        self.data["modes"] = modes

    def touch(self) -> None:
        """Note that something changed and is to be kept."""
        self._is_changed = True

    def _keep(self) -> None:
        if not self._is_changed:
            return
        self._is_changed = False
        self._forget()
        self._saved = orjson.dumps(self.data)
        self._write()
        self.woken.notify_all()

    def _write(self) -> None:
        if self.path is None:
            return
        env.write_private(self.path, self._saved.decode())
        if len(self._saved) > MANY_BYTES:
            logger.warning("demo_payments_state_is_large", extra={"bytes": len(self._saved)})

    def _forget(self) -> None:
        """Drop what Stripe forgets as well: events after 30 days, answers after a day."""
        now = self.now()
        events = self.data["objects"].get("event", {})
        waiting = {each["event"] for each in self.data["deliveries"]}
        told = [key for key in events if key not in waiting]
        old = sum(events[key]["created"] < now - EVENT_SECONDS for key in told)
        for key in told[: max(old, len(told) - MOST_EVENTS)]:  # they are in the order in which they were told
            del events[key]
        for kind in ("checkout.session", "billing_portal.session"):
            for session in self.all(kind):
                if session["created"] < now - EVENT_SECONDS and session.get("status") in (None, "expired"):
                    del self.data["objects"][kind][session["id"]]
        answers = self.data["answers"]
        for key in [key for key, answer in answers.items() if answer["at"] < now - ANSWER_SECONDS]:
            del answers[key]

    # --- time -------------------------------------------------------------------------------------------------
    def now(self) -> int:
        """Return the time here, in seconds: the product's clock and what it was moved by beside it."""
        return self.moment if self.moment is not None else int(clock.now().timestamp()) + int(self.data["offset"])

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """Let it be another time for a while."""
        before, self.moment = self.moment, moment
        try:
            yield
        finally:
            self.moment = before

    # --- objects ----------------------------------------------------------------------------------------------
    def all(self, kind: str) -> list[Object]:
        """Return every object of a kind, oldest first."""
        return list(self.data["objects"].get(kind, {}).values())

    def add(self, made: Object, event: str = "") -> Object:
        """Keep a new object and tell of it."""
        self.data["objects"].setdefault(made["object"], {})[made["id"]] = made
        self._is_changed = True
        if event:
            self.emit(event, made)
        return made

    def remove(self, gone: Object) -> None:
        """Forget an object."""
        del self.data["objects"][gone["object"]][gone["id"]]
        self._is_changed = True

    def find(self, kind: str, identifier: str | None) -> Object | None:
        """Return an object, None when it is not there."""
        found: Object | None = self.data["objects"].get(kind, {}).get(identifier)
        return found

    def get(self, kind: str, identifier: str, param: str = "id", *, is_address: bool = True) -> Object:
        """Return an object. Raises: ApiError when it is not there."""
        found = self.find(kind, identifier)
        if found is None:
            raise missing(kind, identifier, param, is_address=is_address)
        return found

    def named(self, kind: str, identifier: str, param: str) -> Object:
        """Return an object that a parameter names, which must not be deleted. Raises: ApiError."""
        found = self.get(kind, identifier, param, is_address=False)
        if found.get("deleted"):
            raise missing(kind, identifier, param, is_address=False)
        return found

    @contextmanager
    def changing(self, changed: Object, event: str) -> Iterator[Object]:
        """Change an object and tell what it was before, when it is different afterwards."""
        before = self.public(changed)
        yield changed
        self._is_changed = True
        if previous := _differences(before, self.public(changed)):
            self.emit(event, changed, previous if event.endswith((".updated", ".refunded")) else None)

    def public(self, kept: Object) -> Object:
        """Return an object as the API shows it: without what starts with `_`, prices of items in full."""
        shown: Object = _without_private(kept)
        if kept["object"] == "subscription" and "items" in kept:
            for item in (*shown["items"]["data"], *((shown["pending_update"] or {}).get("subscription_items") or ())):
                item["price"] = self.public(self.get("price", item["price"]))
                item["plan"] = plan_of(item["price"])
        return shown

    # --- events -----------------------------------------------------------------------------------------------
    def emit(self, kind: str, about: Object, previous: Object | None = None) -> Object:
        """Record an event and have it delivered."""
        data = {"object": self.public(about)} | ({"previous_attributes": previous} if previous is not None else {})
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 1 if self.webhook_url else 0,
            "request": {"id": self.cause.request_id, "idempotency_key": self.cause.idempotency_key},
            "type": kind,
        }
        self.add(event)
        if self.webhook_url:
            self.data["deliveries"].append({"event": event["id"], "attempts": 0, "at": self.now(), "status": "due"})
        return event


def _without_private(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_private(each) for key, each in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [_without_private(each) for each in value]
    return copy.copy(value)


def _differences(before: Object, after: Object) -> Object:
    """Return the earlier values of what is different: hashes in parts, lists whole."""
    found: Object = {}
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and old.get("object") != "list":
            found[key] = _differences(old, new)
        else:
            found[key] = old
    return found
