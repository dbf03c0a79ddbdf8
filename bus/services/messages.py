"""Sending. A batch of drafts of one workspace is one transaction; each is decided in arrival order.

Under the counters' lock: numbers, `channel_seq` and `created_at` are taken, idempotency keys looked up, the month's
quota counted. A refused draft leaves nothing behind: no channel, no instance, no remembered key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError

from accounts import refusals
from accounts.plans import Plan, plan_in_force
from accounts.principals import Principal
from bus import beats, calls, cursors, fulltext, hot, quotas, retention, storing, wakeups
from bus.models import Message
from bus.results import Sent
from bus.services import instances, limits
from crosswire.lib import clock
from crosswire.lib.database import DatabaseProblem, writing
from crosswire.lib.errors import CrossWireError, not_found, unavailable


@dataclass(frozen=True, slots=True)
class Draft:
    """A message somebody asked to store. `is_alone`: no other call of its instance ran beside this one.

    Only agents take places, have something unread, and stop at a pause. What the system says costs no quota.
    """

    principal: Principal
    channel: str
    sender: str
    content: str
    message_type: str
    in_reply_to: int | None
    idempotency_key: str | None
    is_alone: bool = True
    sender_kind: str = Message.SenderKind.AGENT.value
    passes_pause: bool = False

    @property
    def is_by_agent(self) -> bool:
        """Whether an instance sends it."""
        return self.sender_kind == Message.SenderKind.AGENT

    @property
    def is_counted(self) -> bool:
        """Whether it costs a message of the month's quota."""
        return self.sender_kind != Message.SenderKind.SYSTEM

    @property
    def digest(self) -> str:
        """Return what a retry with the same key must equal."""
        body = "\0".join([self.channel, self.message_type, str(self.in_reply_to or 0), self.content])
        return hashlib.sha256(body.encode()).hexdigest()


def draft(
    principal: Principal,
    *,
    channel: str,
    sender: str,
    content: str,
    message_type: str = "message",
    in_reply_to: int | None = None,
    idempotency_key: str | None = None,
) -> Draft:
    """Return the draft of a send. Raises: CrossWireError `read_only_key`, `wrong_instance`."""
    principal.must_write()
    name = principal.speaks_for("sender", sender)
    assert name is not None
    return Draft(principal, channel, name, content, message_type, in_reply_to, idempotency_key, calls.is_alone())


def send(principal: Principal, **fields: Any) -> Sent:
    """Store one message; wake the channel after commit.

    Raises: CrossWireError `quota_exceeded`, `limit_reached` (a channel or a place past the plan), `not_found`
    (`in_reply_to`), `idempotency_conflict`, `paused`, `suspended`, `read_only_key`, `wrong_instance`.
    """
    return store(draft(principal, **fields))


def store(one: Draft) -> Sent:
    """Store one draft. Raises: as `send`."""
    try:
        outcome = send_many([one])[0]
    except StoreError as failure:
        raise not_stored(failure) from failure
    if isinstance(outcome, CrossWireError):
        raise outcome
    return outcome


def send_many(drafts: Sequence[Draft]) -> list[Sent | CrossWireError]:
    """Store what can be stored of one workspace's drafts, in order; answer each with its message or its refusal.

    Raises: StoreError when the database did not take the batch; then nobody was told that anything was stored.
    """
    is_committing = False
    try:
        # Before the lock: a long text takes milliseconds.
        words = {id(each): fulltext.words_column(each.principal.workspace_id, each.content) for each in drafts}
        with writing():
            batch = _Batch(drafts, words)
            outcomes = [batch.decide(each) for each in drafts]
            batch.store()
            is_committing = True
    except CrossWireError:
        raise
    except Exception as problem:  # whatever it is, the others in the batch shall not suffer for it
        is_away = isinstance(problem, OperationalError | InterfaceError)
        raise StoreError(is_uncertain=is_committing, is_away=is_away) from problem
    return _with_unread(drafts, outcomes)


class StoreError(Exception):
    """A batch failed. `is_uncertain`: while committing, so it may have been stored. `is_away`: not by its contents."""

    def __init__(self, *, is_uncertain: bool = False, is_away: bool = False) -> None:
        super().__init__("the batch was not stored" if not is_uncertain else "the batch may have been stored")
        self.is_uncertain = is_uncertain
        self.is_away = is_away


def _with_unread(drafts: Sequence[Draft], outcomes: list[Sent | CrossWireError]) -> list[Sent | CrossWireError]:
    """Tell each sender what it has not read. A database that goes away now changes nothing: the batch is stored."""
    senders = {each.sender: each.principal for each in drafts if each.is_by_agent}
    try:
        news = {sender: instances.news(principal, sender) for sender, principal in senders.items()}
    except DatabaseProblem:
        return outcomes
    for each, outcome in zip(drafts, outcomes, strict=True):
        if each.is_by_agent and not isinstance(outcome, CrossWireError):
            outcome.update(news[each.sender])  # type: ignore[typeddict-item] # its own keys
    return outcomes


def not_stored(failure: StoreError) -> Exception:
    """Return what a sender is told when the database failed; a fault of ours is that fault."""
    cause = failure.__cause__
    if isinstance(cause, Exception) and not isinstance(cause, DatabaseProblem):
        return cause
    if failure.is_uncertain:
        return unavailable("The message may have been stored: send again with the same idempotency_key to be sure.")
    return unavailable("The message was not stored: the database is away or busy. Send it again.")


@dataclass
class _Batch:
    """What is known and what has been decided while a batch holds the counters."""

    drafts: Sequence[Draft]
    words: dict[int, str]
    counters: storing.Counted = field(init=False)
    plan: Plan = field(init=False)
    now: datetime = field(init=False)
    channels: dict[str, storing.ChannelState] = field(init=False)
    people: dict[str, storing.SenderState] = field(init=False)
    places: dict[tuple[str, str], hot.Place] = field(init=False)
    remembered: dict[tuple[str, str], storing.Remembered] = field(init=False)
    waiting: dict[str, set[str]] = field(init=False)
    new_channels: int = 0
    new_places: int = 0
    stored: list[storing.NewMessage] = field(default_factory=list)
    keys: list[storing.Remembered] = field(default_factory=list)
    moved: list[tuple[str, hot.Place]] = field(default_factory=list)

    def __post_init__(self) -> None:
        principal = self.drafts[0].principal
        self.workspace_id = principal.workspace_id
        self.counters = storing.lock_counters(self.workspace_id)
        workspace = storing.workspace(self.workspace_id)
        self.suspended = workspace.suspended_at, workspace.suspended_reason
        self.plan = plan_in_force(workspace.plan, workspace.overrides)
        self.now = max(clock.now(), self.counters.last_at)
        month = clock.month_of(self.now)
        if self.counters.month != month:
            self.counters = self.counters._replace(month=month, month_messages=0)
        self.channels, self.people, self.places = storing.facts(
            self.workspace_id, {(each.channel, each.sender) for each in self.drafts}
        )
        wanted = {(each.sender, each.idempotency_key) for each in self.drafts if each.idempotency_key}
        self.sent_before = self.counters.month_messages
        self.remembered = (
            storing.remembered(self.workspace_id, wanted, self.now - retention.IDEMPOTENCY_REMEMBERED) if wanted else {}
        )
        self.waiting = beats.waiting(self.workspace_id, {each.channel for each in self.drafts}, self.now)

    def decide(self, each: Draft) -> Sent | CrossWireError:
        """Take a number for a draft, or say why not."""
        try:
            limits.refuse_suspended(*self.suspended)
            if replay := self._replayed(each):
                if person := self.people.get(each.sender):
                    person.wrote(self.now, each.principal.client)
                return replay
            channel = self._channel(each)
            if each.in_reply_to is not None:
                self._require_parent(each, channel)
            joins = each.is_by_agent and self._requires_place(each)
            is_used_up = self.plan.messages is not None and self.counters.month_messages >= self.plan.messages
            if each.is_counted and is_used_up:
                raise refusals.quota_exceeded(self.plan, self.counters.month_messages, each.principal.workspace_slug)
        except CrossWireError as refusal:
            return refusal
        return self._admit(each, channel, joins=joins)

    def _replayed(self, each: Draft) -> Sent | None:
        known = self.remembered.get((each.sender, each.idempotency_key or ""))
        if each.idempotency_key is None or known is None:
            return None
        if known.body_digest != each.digest:
            raise CrossWireError(
                "idempotency_conflict",
                f"idempotency_key was used for another message (#{known.number}); use a new key for a new message.",
                id=known.number,
            )
        return self._answer(each, known.number, created=False)

    def _channel(self, each: Draft) -> storing.ChannelState:
        channel = self.channels.get(each.channel)
        if channel is not None and channel.is_paused and not each.passes_pause:
            raise CrossWireError("paused", f"#{each.channel} is paused by a person; wait until it is resumed.")
        if channel is None or channel.is_archived:
            limits.require_channel(each.principal, self.plan, self.new_channels)
            return channel or storing.ChannelState(None, each.channel)
        return channel

    def _require_parent(self, each: Draft, channel: storing.ChannelState) -> None:
        assert each.in_reply_to is not None
        if any(new.number == each.in_reply_to and new.channel is channel for new in self.stored):
            return
        if channel.pk is None or not storing.is_live(self.workspace_id, channel.pk, each.in_reply_to, each.principal):
            raise not_found(f"There is no message #{each.in_reply_to} in #{each.channel} to reply to.")

    def _requires_place(self, each: Draft) -> bool:
        """Return whether the sender takes a new place. Raises: CrossWireError `limit_reached`."""
        person = self.people.get(each.sender)
        if person is not None and person.holds_place(self.now):
            return False
        limits.require_place(each.principal, each.sender, self.plan, self.new_places)
        return True

    def _admit(self, each: Draft, channel: storing.ChannelState, *, joins: bool) -> Sent:
        self.new_channels += each.channel not in self.channels or channel.is_archived
        channel.is_archived = False
        self.new_places += joins
        self.counters = self.counters._replace(
            last_number=self.counters.last_number + 1,
            month_messages=self.counters.month_messages + each.is_counted,
            last_at=self.now,
        )
        number = self.counters.last_number
        self.channels[each.channel] = channel
        channel.write(number, each.sender, self.now)
        if each.is_by_agent:
            person = self.people.setdefault(each.sender, storing.SenderState(None, each.sender, number - 1))
            person.wrote(self.now, each.principal.client)
        self.stored.append(
            storing.NewMessage(
                number=number,
                channel=channel,
                seq=channel.last_seq,
                sender=each.sender,
                sender_kind=each.sender_kind,
                member_id=each.principal.member_id if each.sender_kind == Message.SenderKind.HUMAN else None,
                verified=each.principal.is_verified or not each.is_by_agent,
                message_type=each.message_type,
                content=each.content,
                in_reply_to=each.in_reply_to,
                created_at=self.now,
                words=self.words[id(each)],
            )
        )
        if each.idempotency_key:
            key = storing.Remembered(
                each.sender, each.idempotency_key, each.digest, number, each.channel, each.message_type, self.now
            )
            self.remembered[each.sender, each.idempotency_key] = key
            self.keys.append(key)
        self._confirm_pending(each)
        return self._answer(each, number, created=True)

    def _confirm_pending(self, each: Draft) -> None:
        """Take the send as a sign that the answer before it arrived."""
        place = self.places.get((each.channel, each.sender))
        if place is None or not cursors.is_pending(place):
            return
        after = cursors.confirm_by_send(
            place, each.principal.begun_at, answers=each.in_reply_to, is_alone=each.is_alone
        )
        if after != place:
            self.places[each.channel, each.sender] = after
            self.moved.append((each.sender, after))

    def _answer(self, each: Draft, number: int, *, created: bool) -> Sent:
        place = self.places.get((each.channel, each.sender))
        shown = None if place is None else max(place.shown_to or 0, place.pending_shown or 0) or None
        answer: Sent = {
            "ok": True,
            "id": number,
            "channel": each.channel,
            "message_type": each.message_type,
            "created": created,
            "recipients": len(self.waiting[each.channel] - {each.sender}),
            "last_shown": shown,
        }
        if each.in_reply_to is not None:
            answer["in_reply_to"] = each.in_reply_to
        return answer

    def store(self) -> None:
        """Write what was admitted and announce it after the commit."""
        storing.write_people(self.workspace_id, self.people, self.now)
        if not self.stored:
            return
        storing.write(
            self.workspace_id,
            self.counters,
            self.stored,
            keys=self.keys,
            people=self.people,
            moved=self.moved,
            now=self.now,
        )
        made = [new.channel.name for new in self.stored if new.channel.was_made]
        newest = {new.channel.name: new.number for new in self.stored}
        wakeups.stored(self.workspace_id, newest, made)
        quotas.notice(self.workspace_id, self.sent_before, self.counters.month_messages, self.plan.messages)
