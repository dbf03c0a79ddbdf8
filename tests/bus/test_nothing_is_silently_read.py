"""A reader that loses answers, repeats, replies and acknowledges, against a plain model of what it ought to get."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.principals import Principal
from bus import hot
from bus.models import Channel, Cursor, Instance, Wait
from bus.services import instances, messages, reading, waits
from tests.support.cast import make_workspace
from tests.support.messages import principal_of

LIMITS = st.integers(1, 4)
PICKS = st.integers(0, 30)


@pytest.fixture(scope="module")
def anybody(database: None) -> Principal:
    return principal_of(make_workspace("unlimited"))


@dataclass
class Reader:
    """One instance reading one channel. `handed`: ids in answers to it, `got`: in answers that arrived."""

    principal: Principal
    name: str = field(default_factory=lambda: f"reader-{secrets.token_hex(6)}")
    channel: str = field(default_factory=lambda: f"channel-{secrets.token_hex(6)}")
    others: list[int] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    handed: set[int] = field(default_factory=set)
    got: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    acked: int = 0
    numbers: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        instances.register(self.now(), instance_id=self.name)
        self.post(1)

    def now(self) -> Principal:
        return self.principal.calling("tests/1")

    def post(self, count: int) -> None:
        sender = f"writer-{self.name[-12:]}"
        draft = messages.draft(self.now(), channel=self.channel, sender=sender, content="x")
        self.others += [sent["id"] for sent in messages.send_many([draft] * count) if isinstance(sent, dict)]

    def send(self) -> None:
        self.own.append(messages.send(self.now(), channel=self.channel, sender=self.name, content="x")["id"])

    def reply(self, pick: int) -> None:
        if target := _picked(self.got, pick):
            sent = messages.send(self.now(), channel=self.channel, sender=self.name, content="x", in_reply_to=target)
            self.own.append(sent["id"])

    def ack(self, pick: int) -> None:
        if target := _picked(self.got, pick):
            reading.ack_inbox(self.now(), instance_id=self.name, channel=self.channel, up_to=target)
            self.acked = max(self.acked, target)

    def check(self, pick: int | None, limit: int) -> list[dict[str, Any]]:
        found = reading.check(
            self.now(), channel=self.channel, instance_id=self.name, after_id=self.known(pick), limit=limit
        )
        return self.take(found["messages"])

    def wait(self, pick: int | None, limit: int) -> list[dict[str, Any]]:
        asked = waits.Asked(
            self.now(), self.channel, self.name, self.known(pick), limit, Wait.Kind.BLOCKING, "active", 1, "tests"
        )
        token = secrets.token_hex(8)
        found = waits.look(asked, token)
        waits.close(token)
        return self.take(found["messages"] if found else [])

    def inbox(self, limit: int) -> list[dict[str, Any]]:
        return self.take(reading.inbox(self.now(), instance_id=self.name, limit=limit)["messages"])

    def known(self, pick: int | None) -> int | None:
        """An id that the reader knows: of a message it got or sent."""
        return None if pick is None else _picked([*self.got, *self.own], pick)

    def take(self, found: Iterable[Any]) -> list[dict[str, Any]]:
        answer = list(found)
        ids = {message["id"] for message in answer}
        marked = {message["id"] for message in answer if message.get("again")}
        row = self.cursor()
        shown_to = (row.shown_to or 0) if row else 0  # an answer itself does not move it
        assert marked <= self.handed, "marked as shown before, and never was"
        assert {number for number in ids & self.handed if number > shown_to} <= marked
        assert not ids & set(self.own)
        self.handed |= ids
        return answer

    def arrives(self, answer: list[dict[str, Any]]) -> None:
        self.got |= {message["id"] for message in answer}

    def breaks(self) -> None:
        """Have the server hear that the last answer's stream broke, as it does when a client hangs up."""
        row = self.cursor()
        if row is not None and row.pending_at is not None:
            hot.make_strict(row.workspace_id, row.channel_id, row.instance_id, row.pending_at)

    def cursor(self) -> Cursor | None:
        return Cursor.objects.filter(
            workspace=self.principal.workspace_id, channel__name=self.channel, instance__name=self.name
        ).first()

    def check_numbers(self) -> None:
        """The two numbers never go back, and never past what was handed or acknowledged."""
        row = self.cursor()
        if row is None:
            return
        joined = Instance.objects.get(workspace=self.principal.workspace_id, name=self.name).joined_number
        now = (row.shown_to or 0, row.read_to)
        assert now >= self.numbers
        assert now[1] >= self.numbers[1]
        told = max([*self.handed, *self.own, self.acked, joined])
        assert max(now) <= told <= Channel.objects.get(pk=row.channel_id).last_number
        self.numbers = now

    def empty_the_inbox(self) -> None:
        for _ in range(3 * len(self.others) + 10):
            answer = self.inbox(3)
            if not answer:
                return
            self.arrives(answer)
        raise AssertionError("the inbox is never empty")


def _picked(known: Iterable[int], pick: int) -> int | None:
    ordered = sorted(known)
    return ordered[pick % len(ordered)] if ordered else None


POST = st.tuples(st.just("post"), st.integers(1, 6))
SILENT = (
    st.tuples(st.just("check"), st.none(), LIMITS),
    st.tuples(st.just("wait"), st.none(), LIMITS),
    st.tuples(st.just("inbox"), LIMITS),
)
NAMING = (st.tuples(st.just("check"), PICKS, LIMITS), st.tuples(st.just("wait"), PICKS, LIMITS))
SPEAKING = (
    st.tuples(st.just("send")),
    st.tuples(st.just("reply"), PICKS),
    st.tuples(st.just("ack"), PICKS),
)
FATE = st.sampled_from(["arrives", "breaks"])
unhurried = settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def steps(*kinds: st.SearchStrategy[tuple[Any, ...]]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.tuples(st.one_of(POST, *kinds), FATE), min_size=2, max_size=14)


@given(steps=steps(*SILENT, *NAMING, *SPEAKING))
@unhurried
def test_whatever_breaks_a_reader_gets_every_message_it_did_not_wave_away(anybody: Principal, steps: list[Any]) -> None:
    reader = Reader(anybody)
    for (what, *how), fate in steps:
        answer = getattr(reader, what)(*how)
        if answer and fate == "breaks":
            reader.breaks()
        elif answer:
            reader.arrives(answer)
        reader.check_numbers()
    reader.empty_the_inbox()
    assert {number for number in reader.others if number > reader.acked} <= reader.got


@given(steps=steps(*SILENT))
@unhurried
def test_an_answer_lost_unnoticed_comes_again_to_a_reader_that_says_nothing(
    anybody: Principal, steps: list[Any]
) -> None:
    reader = Reader(anybody)
    for (what, *how), fate in steps:
        answer = getattr(reader, what)(*how) or []
        held = {message["id"] for message in answer}
        if fate == "breaks" and not held & reader.lost:
            reader.lost |= held
        else:
            reader.arrives(answer)
        reader.check_numbers()
    reader.empty_the_inbox()
    assert set(reader.others) <= reader.got
