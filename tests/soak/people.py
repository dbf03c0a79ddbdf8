"""Who takes part in the soak: senders that never give a message up, and followers that keep a log of what they got.

A follower is one instance. It knows what any client knows: what it asked, and what arrived whole.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.support import lines
from tests.support.lines import ERAS, Answer

ANSWER_SECONDS = 60.0
CHANNELS = ("north", "south", "east", "west")

type Kind = Literal["careful", "quiet", "inbox"]
"""How a follower says what arrived: by `after_id`; not at all, unless a call broke; by its inbox and `ack`."""


class Broken(Exception):  # noqa: N818 - what happened, not whose fault
    """No whole answer arrived: nobody knows what the server did."""


@dataclass
class World:
    """What all share: where the servers are, what was acknowledged, what went wrong."""

    key: str
    urls: list[str]
    seed: int
    sent: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    """By id: channel, sender, content."""
    problems: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    calls: int = 0
    broken: int = 0
    hung_up: int = 0

    def chance(self, who: str) -> random.Random:
        """Return somebody's own chances."""
        return random.Random(f"{self.seed} {who}")  # noqa: S311 - a test's chances

    def call(self, url: str, request: bytes, *, leave_after: float | None = None, leave_early: bool = False) -> Answer:
        """Ask a server. Raises: Broken, also after hanging up: after so many seconds, or at an answer's first bytes."""
        self.calls += 1
        where = urlsplit(url)
        got = bytearray()
        give_up_at = time.monotonic() + (ANSWER_SECONDS if leave_after is None else leave_after)
        try:
            with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
                connection.sendall(request)
                while (answer := lines.answer_in(got)) is None:
                    connection.settimeout(max(0.001, give_up_at - time.monotonic()))
                    if not (part := connection.recv(1 if leave_early else 65_536)) or leave_early:
                        raise ConnectionError("no more comes")
                    got += part
                return answer
        except OSError as problem:  # TimeoutError is one
            if leave_after is not None or leave_early:
                self.hung_up += 1
            else:
                self.broken += 1
            raise Broken(str(problem)) from problem

    def send(self, chance: random.Random, sender: str, channel: str, content: str) -> None:
        """Send until a server acknowledges, always with the same key."""
        request = lines.send(self.key, channel, content, sender, idempotency_key=content)
        give_up_at = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < give_up_at:
            try:
                answer = self.call(chance.choice(self.urls), request)
            except Broken:
                time.sleep(0.05)
                continue
            if answer.status == 200:
                self.sent[answer.rest()["id"]] = (channel, sender, content)
                return
            if answer.status != 503:
                self.problems.append(f"{sender} sends {content}: {answer.status} {answer.body[:300]!r}")
                return
        self.problems.append(f"{sender} could not send {content}")


@dataclass
class Sender:
    """Somebody who only sends."""

    world: World
    name: str
    pace: float

    def live(self) -> None:
        """Send one message after the other."""
        chance = self.world.chance(self.name)
        count = 0
        while not self.world.is_over.is_set():
            count += 1
            self.world.send(chance, self.name, chance.choice(CHANNELS), f"{self.name} {count}")
            self.world.is_over.wait(chance.uniform(0, 2 * self.pace))


@dataclass
class Follower:
    """An instance that reads, waits and hangs up, and what it knows by itself."""

    world: World
    name: str
    kind: Kind
    channels: tuple[str, ...]
    last: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The last id that arrived, by channel."""
    confirmed: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Up to where it has said so, in a call that was answered."""
    unsure: set[str] = field(default_factory=set)
    """Where a call broke, so that an answer may have been lost."""
    seen: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    repeated: int = 0
    is_calm: bool = False
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = self.world.chance(self.name)

    def live(self) -> None:
        """Follow until the soak is over."""
        count = 0
        while not self.world.is_over.is_set():
            if self.chance.random() < 0.1:
                count += 1
                self.world.send(self.chance, self.name, self.chance.choice(self.channels), f"{self.name} says {count}")
            self.step()

    def missing(self) -> list[int]:
        """Return what was acknowledged and did not arrive here."""
        return sorted(
            number
            for number, (channel, sender, _) in self.world.sent.items()
            if channel in self.channels and sender != self.name and number not in self.seen[channel]
        )

    def catch_up(self, within_seconds: float) -> None:
        """Go on in peace until nothing is missing, or the time is over."""
        self.is_calm = True
        give_up_at = time.monotonic() + within_seconds
        while self.missing() and time.monotonic() < give_up_at:
            self.step()

    def step(self) -> None:
        """Make one call."""
        if self.kind == "inbox":
            if self.unsure:
                self._ask(channel := min(self.unsure), self._check(channel, self.last[channel]), self.last[channel])
            else:
                self._look_into_inbox()
            return
        channel = self.chance.choice(self.channels)
        is_telling = self.kind == "careful" or channel in self.unsure
        after = self.last[channel] if is_telling else None
        ways: list[Callable[[str, int | None], bytes]] = [self._rest_wait, *(self._mcp_wait(era) for era in ERAS)]
        if is_telling:
            ways.append(self._check)
        self._ask(channel, self.chance.choice(ways)(channel, after), after)

    def _seconds(self) -> float:
        return 0.5 if self.is_calm else round(self.chance.uniform(0.2, 4), 1)

    def _check(self, channel: str, after: int | None) -> bytes:
        return lines.get(
            self.world.key, f"/messages/{channel}", instance_id=self.name, limit=50, **_named("after_id", after)
        )

    def _rest_wait(self, channel: str, after: int | None) -> bytes:
        query = {"instance_id": self.name, "wait": self._seconds(), **_named("after_id", after)}
        return lines.get(self.world.key, f"/messages/{channel}", **query)

    def _mcp_wait(self, era: lines.Era) -> Callable[[str, int | None], bytes]:
        def make(channel: str, after: int | None) -> bytes:
            more = {"timeout_seconds": self._seconds(), "persistent": False, **_named("after_id", after)}
            return lines.tool(self.world.key, era, "wait_for_reply", channel=channel, instance_id=self.name, **more)

        return make

    def _look_into_inbox(self) -> None:
        key, chance = self.world.key, self.chance
        told = {channel: last for channel, last in self.last.items() if last > self.confirmed[channel]}
        if chance.random() < 0.5:
            ack = {"ack": told} if told and chance.random() < 0.5 else {}
            request = lines.tool(key, chance.choice(ERAS), "inbox", instance_id=self.name, wait=self._seconds(), **ack)
        else:
            ack = {}
            request = lines.get(key, "/inbox", instance_id=self.name, wait=self._seconds())
        if self._ask("", request, None) and ack:
            for channel, last in told.items():
                self.confirmed[channel] = max(self.confirmed[channel], last)

    def _ask(self, channel: str, request: bytes, after: int | None) -> bool:
        """Ask a server; return whether its answer arrived. `channel` "" is the inbox."""
        leaves = not self.is_calm and self.chance.random() < 0.2
        early = leaves and self.chance.random() < 0.3
        try:
            answer = self.world.call(
                self.chance.choice(self.world.urls),
                request,
                leave_after=self.chance.uniform(0.02, 2) if leaves and not early else None,
                leave_early=early,
            )
        except Broken as problem:
            self._lose(channel, after, str(problem))
            return False
        if answer.status == 503:
            self._lose(channel, after, "503")
            time.sleep(0.05)
            return False
        try:
            data = answer.tool() if b"jsonrpc" in answer.body else answer.rest()
        except (RuntimeError, ValueError) as problem:
            if "unavailable" in str(problem):
                self._lose(channel, after, "unavailable")
                return False
            self.world.problems.append(f"{self.name} in #{channel}: {problem}")
            return False
        self._note(channel, data, after)
        return True

    def _lose(self, channel: str, after: int | None, why: str) -> None:
        self.log.append(f"#{channel} after {after}: lost, {why}")
        self.unsure.update([channel] if channel else self.channels)

    def _note(self, channel: str, data: dict[str, Any], after: int | None) -> None:
        """Look at an answer that arrived, and remember it."""
        messages = data.get("messages", [])
        told = [f"{message['id']}{' again' * bool(message.get('again'))}" for message in messages]
        self.log.append(f"#{channel} after {after}: {told} {data.get('ended', '')}")
        numbers = [message["id"] for message in messages]
        if numbers != sorted(set(numbers)):
            self._complain(f"got {numbers}, which is not in order")
        for message in messages:
            self._look_at(message)
        if channel:
            # After a lost answer an id may be of that one too, and proves less: see bus/cursors.py, needs_proof.
            if after is not None and channel not in self.unsure:
                self.confirmed[channel] = max(self.confirmed[channel], after)
            if after is not None and not data.get("has_more"):
                self.unsure.discard(channel)

    def _look_at(self, message: dict[str, Any]) -> None:
        number, channel = message["id"], message["channel"]
        known = self.world.sent.get(number)  # not there yet when the send's own answer is still on its way
        if message["sender"] == self.name:
            self._complain(f"got its own #{number}")
        if known and (known[:2] != (channel, message["sender"]) or known[2] not in message["content"]):
            self._complain(f"got #{number} as {message}, sent was {known}")
        if message.get("again"):
            self.repeated += 1
            if number <= self.confirmed[channel]:
                self._complain(f"got #{number} marked again, and had confirmed up to #{self.confirmed[channel]}")
        self.seen[channel].add(number)
        self.last[channel] = max(self.last[channel], number)

    def _complain(self, what: str) -> None:
        recent = "\n    ".join(self.log[-12:])
        self.world.problems.append(f"{self.name} ({self.kind}) {what}; its last calls:\n    {recent}")


def _named(name: str, value: int | None) -> dict[str, int]:
    return {} if value is None else {name: value}
