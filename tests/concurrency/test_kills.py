"""Acknowledged = durable: servers are killed at any moment, and nothing acknowledged is lost, nothing stored twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from accounts.models import UsageDay
from bus.models import Channel, ChannelSender, Claim, Counters, Cursor, HandOut, IdempotencyKey, Instance, Message, Wait
from crosswire.lib import clock
from tests.concurrency.traffic import Broken, Wire
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.servers import ServerProcess

GIVE_UP_SECONDS = 400.0
SENDERS = 16
KILLS = 20
MESSAGES = 4_000
A_KILL = MESSAGES // KILLS
"""How many messages each kill is worth: with all sent the senders rest, so that a server can start beside them."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(GIVE_UP_SECONDS + 60)]


@dataclass
class Sent:
    """A message as its sender knows it."""

    number: int
    channel: str
    sender: str
    content: str
    in_reply_to: int | None


@dataclass
class Battle:
    """Senders that never give a message up, and the killing of the servers they send to."""

    caller: Caller
    servers: list[ServerProcess]
    seed: int
    acknowledged: list[Sent] = field(default_factory=list)
    kills: int = 0
    restarts: int = 0
    broken: int = 0
    problems: list[str] = field(default_factory=list)
    is_over: bool = False
    pause: threading.Event = field(default_factory=threading.Event)
    give_up_at: float = field(default_factory=lambda: time.monotonic() + GIVE_UP_SECONDS)

    @property
    def left(self) -> int:
        """How many messages may be sent before the next server is up again."""
        return A_KILL * (self.restarts + len(self.servers)) - len(self.acknowledged)

    @property
    def is_lost(self) -> bool:
        """Whether going on makes no sense."""
        return bool(self.problems) or time.monotonic() > self.give_up_at

    def fight(self) -> None:
        """Have everybody send and every server die, until all kills are done and enough is acknowledged."""
        with ThreadPoolExecutor(SENDERS + len(self.servers), thread_name_prefix="battle") as threads:
            senders = [threads.submit(self._send, number) for number in range(SENDERS)]
            killers = [threads.submit(self._kill, server) for server in self.servers]
            for killer in killers:
                killer.result()
            self._until(lambda: len(self.acknowledged) >= MESSAGES)
            self.is_over = True
            for sender in senders:
                sender.result()

    def _send(self, number: int) -> None:
        """Send one message after the other, a reply now and then."""
        chance = random.Random(f"{self.seed} sender {number}")  # noqa: S311 - a test's chances
        wires = [Wire(server.url, self.caller) for server in self.servers]
        last: Sent | None = None
        count = 0
        while not self.is_over and not self.is_lost:
            if self.left <= 0:
                self.pause.wait(0.005)
                continue
            count += 1
            parent = last if last is not None and chance.random() < 0.2 else None
            channel = parent.channel if parent else f"room-{chance.randrange(4)}"
            last = Sent(0, channel, f"sender-{number}", f"{number} {count}", parent.number if parent else None)
            self._deliver(last, wires, chance)
        for wire in wires:
            wire.close()

    def _deliver(self, sent: Sent, wires: list[Wire], chance: random.Random) -> None:
        """Try the servers, always with the same key, until one of them acknowledges."""
        while not self.is_lost:
            try:
                answer = chance.choice(wires)(
                    "send_message",
                    sender=sent.sender,
                    channel=sent.channel,
                    content=sent.content,
                    in_reply_to=sent.in_reply_to,
                    idempotency_key=sent.content,
                )
            except Broken:
                self.broken += 1
                self.pause.wait(0.05)
                continue
            if answer.status == 200:
                sent.number = answer.data["id"]
                self.acknowledged.append(sent)
                return
            if answer.status != 503:
                self.problems.append(f"{sent.content}: {answer}")

    def _kill(self, server: ServerProcess) -> None:
        """Kill a server and start it again, its share of all kills, each after a random number of messages."""
        chance = random.Random(f"{self.seed} killer {self.servers.index(server)}")  # noqa: S311 - as above
        for _ in range(KILLS // len(self.servers)):
            mark = len(self.acknowledged) + chance.randrange(max(self.left, 1))
            self._until(lambda mark=mark: len(self.acknowledged) >= mark)  # type: ignore[misc]  # a default in a lambda
            server.kill()
            self.kills += 1
            try:
                server.start()
            except RuntimeError as problem:
                self.problems.append(str(problem))
                return
            self.restarts += 1

    def _until(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached() and not self.is_lost:
            self.pause.wait(0.002)


@pytest.fixture
def battle(fleet: list[ServerProcess], make_workspace: MakeWorkspace, seed: int) -> Battle:
    """A battle that is over."""
    fought = Battle(make_workspace("unlimited"), fleet, seed)
    fought.fight()
    assert not fought.is_lost, fought.problems[:5] or f"only {len(fought.acknowledged)} messages, {fought.kills} kills"
    return fought


def test_twenty_kills_lose_nothing_and_double_nothing(battle: Battle) -> None:
    assert battle.kills == KILLS
    assert battle.broken >= KILLS, "the kills hit nobody"
    assert len(battle.acknowledged) >= MESSAGES
    acknowledged = sorted(battle.acknowledged, key=lambda sent: sent.number)
    own = {"workspace": battle.caller.workspace}
    rows = (
        Message.objects.filter(**own)
        .order_by("number")
        .values_list("number", "channel__name", "sender", "content", "in_reply_to")
    )
    assert list(rows) == [(s.number, s.channel, s.sender, s.content, s.in_reply_to) for s in acknowledged]
    check_numbers(battle, acknowledged)
    check_what_goes_with_messages(battle, acknowledged)


def check_numbers(battle: Battle, acknowledged: list[Sent]) -> None:
    """Ids and places in the channels have no gap; every counter says what is there."""
    own = {"workspace": battle.caller.workspace}
    total = len(acknowledged)
    assert [sent.number for sent in acknowledged] == list(range(1, total + 1))
    counters = Counters.objects.get(**own)
    assert (counters.last_number, counters.month_messages) == (total, total)
    assert counters.month == clock.month_of(clock.now())
    by_channel = Counter(sent.channel for sent in acknowledged)
    for channel in Channel.objects.filter(**own):
        seqs = Message.objects.filter(**own, channel=channel).order_by("number").values_list("channel_seq", flat=True)
        assert list(seqs) == list(range(1, by_channel[channel.name] + 1)), channel.name
        assert channel.last_seq == by_channel[channel.name]
        assert channel.last_number == max((s.number for s in acknowledged if s.channel == channel.name), default=0)


def check_what_goes_with_messages(battle: Battle, acknowledged: list[Sent]) -> None:
    """No row is missing, none is left over."""
    own = {"workspace": battle.caller.workspace}
    senders = {sent.sender for sent in acknowledged}
    assert set(Channel.objects.filter(**own).values_list("name", flat=True)) == {
        "general",
        *(sent.channel for sent in acknowledged),
    }
    assert sorted(Instance.objects.filter(**own).values_list("name", flat=True)) == sorted(senders)
    last = {(sent.channel, sent.sender): sent.number for sent in acknowledged}
    known = ChannelSender.objects.filter(**own).values_list("channel__name", "sender", "last_number")
    assert sorted(known) == sorted((*pair, number) for pair, number in last.items())
    remembered = IdempotencyKey.objects.filter(**own).order_by("number").values_list("number", "sender", "key")
    assert list(remembered) == [(sent.number, sent.sender, sent.content) for sent in acknowledged]
    replies = Counter(sent.in_reply_to for sent in acknowledged if sent.in_reply_to is not None)
    counted = Message.objects.filter(**own, reply_count__gt=0).values_list("number", "reply_count")
    assert dict(counted) == dict(replies)
    used: Counter[str] = Counter()
    for instance, messages in UsageDay.objects.filter(**own).values_list("instance", "messages"):
        used[instance] += messages
    assert used == Counter(sent.sender for sent in acknowledged)
    for model in (Cursor, HandOut, Wait, Claim):
        assert not model.objects.filter(**own).exists(), model.__name__
