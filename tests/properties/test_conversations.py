"""Several instances talk over all surfaces by turns: nothing is lost, nothing invented, and all rows fit together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support import laws
from tests.support.cast import make_workspace
from tests.support.messages import contents, ids
from tests.support.properties import tried
from tests.support.surfaces import REST, SURFACES, Result, Surface, SurfaceName

NAMES = ("ann", "ben", "cleo")
ROOMS = ("general", "plans")
KEYS = ("notes", "plans/a b.md")
MOST_ROUNDS = 500

surfaces = st.sampled_from(SURFACES)
names = st.sampled_from(NAMES)
rooms = st.sampled_from(ROOMS)
keys = st.sampled_from(KEYS)
limits = st.integers(1, 3)
picks = st.integers(0, 50)
texts = st.text("ab é🦊日'\"%\n", min_size=1, max_size=12)


@dataclass(frozen=True)
class Said:
    """A message as its sender sent it."""

    sender: str
    room: str
    content: str
    in_reply_to: int | None


class Conversation(RuleBasedStateMachine):
    """A plain model of a workspace beside the workspace.

    `shown`: what each instance was given; `followed`: up to where it reads a channel with `after_id`, and `follows`
    what those reads gave it; `waived`: up to where it acknowledged.
    """

    def __init__(self, surface: Callable[[SurfaceName], Surface]) -> None:
        super().__init__()
        self.surface = surface
        owner = make_workspace("unlimited")
        self.owner = owner
        self.callers = {name: owner.with_key(name) if name == "ann" else owner for name in NAMES}
        self.said: dict[int, Said] = {}
        self.items: dict[str, str] = {}
        self.keyed: list[tuple[int, dict[str, Any]]] = []
        self.shown: dict[str, set[int]] = {name: set() for name in NAMES}
        self.follows: dict[tuple[str, str], set[int]] = {(name, room): set() for name in NAMES for room in ROOMS}
        self.followed = dict.fromkeys(self.follows, 0)
        self.waived = dict.fromkeys(self.follows, 0)
        for name in NAMES:
            self.do("lane", name, "register", instance_id=name)

    def do(self, surface: SurfaceName, name: str, operation: str, /, **arguments: Any) -> Result:
        return self.surface(surface).ok(self.callers[name], operation, **arguments)

    def others(self, name: str, room: str) -> set[int]:
        return {number for number, said in self.said.items() if said.room == room and said.sender != name}

    # --- writing ------------------------------------------------------------------------------------------------

    @initialize(senders=st.lists(names, min_size=4, max_size=8))
    def begin(self, senders: list[str]) -> None:
        for number, name in enumerate(senders):
            self.send(SURFACES[number % len(SURFACES)], name, ROOMS[number % 3 % 2], "hello", None, key=number % 2 == 0)

    @rule(senders=st.lists(names, min_size=2, max_size=4), room=rooms)
    def talk(self, senders: list[str], room: str) -> None:
        for name in senders:
            self.send("lane", name, room, "and so on", None, key=False)

    @rule(surface=surfaces, name=names, room=rooms, content=texts, answers=st.none() | picks, key=st.booleans())
    def send(self, surface: SurfaceName, name: str, room: str, content: str, answers: int | None, *, key: bool) -> None:
        here = [number for number, said in self.said.items() if said.room == room]
        parent = here[answers % len(here)] if here and answers is not None else None
        given = {"sender": name, "channel": room, "content": content, "in_reply_to": parent}
        if key:
            given["idempotency_key"] = f"key-{len(self.keyed)}"
        sent = self.do(surface, name, "send_message", **given)
        assert (sent["id"], sent["created"]) == (len(self.said) + 1, True)
        self.said[sent["id"]] = Said(name, room, content, parent)
        if key:
            self.keyed.append((sent["id"], given))

    @precondition(lambda self: self.keyed)
    @rule(surface=surfaces, pick=picks)
    def send_again(self, surface: SurfaceName, pick: int) -> None:
        number, given = self.keyed[pick % len(self.keyed)]
        sent = self.do(surface, given["sender"], "send_message", **given)
        assert (sent["id"], sent["created"]) == (number, False)

    @rule(surface=surfaces, name=names, key=keys, content=texts)
    def share(self, surface: SurfaceName, name: str, key: str, content: str) -> None:
        made = self.do(surface, name, "share_data", key=key, content=content, sender=name)
        assert made["size_bytes"] == len(content.encode())
        self.items[key] = content

    @rule(surface=surfaces, name=names, key=keys)
    def delete(self, surface: SurfaceName, name: str, key: str) -> None:
        if key in self.items:
            self.do(surface, name, "delete_shared_data", key=key)
            del self.items[key]
        self.surface(surface).refused(self.callers[name], "delete_shared_data", "not_found", key=key)

    @rule(surface=surfaces, name=names, comes_back=st.booleans())
    def leave(self, surface: SurfaceName, name: str, *, comes_back: bool) -> None:
        self.do(surface, name, "unregister", instance_id=name)
        if comes_back:
            self.do(surface, name, "register", instance_id=name)

    # --- reading ------------------------------------------------------------------------------------------------

    def take(self, name: str, answer: Result, room: str | None = None) -> list[int]:
        numbers = ids(answer)
        assert numbers == sorted(set(numbers)), "an answer is out of order"
        assert contents(answer) == [self.said[number].content for number in numbers]
        for message in answer["messages"]:
            said = self.said[message["id"]]
            assert (message["sender"], message["channel"]) == (said.sender, said.room)
            assert message["in_reply_to"] == said.in_reply_to
            assert said.sender != name, "an instance was given its own message"
            assert room in {None, said.room}
            assert message["verified"] == (said.sender == "ann")
            assert not message.get("again") or message["id"] in self.shown[name], "a first sight was called a repeat"
        self.shown[name] |= set(numbers)
        return numbers

    def follow(self, surface: SurfaceName, name: str, room: str, **arguments: Any) -> list[int]:
        """Read on as the protocol says: after the last id of the read before."""
        after = self.followed[name, room]
        operation = "wait_for_reply" if "timeout_seconds" in arguments else "check_messages"
        answer = self.do(surface, name, operation, channel=room, instance_id=name, after_id=after, **arguments)
        numbers = self.take(name, answer, room)
        self.follows[name, room] |= set(numbers)
        self.followed[name, room] = max(after, *numbers, 0)
        return numbers

    @rule(surface=surfaces, name=names, room=rooms, limit=limits)
    def read_on(self, surface: SurfaceName, name: str, room: str, limit: int) -> None:
        self.follow(surface, name, room, limit=limit)

    @rule(surface=surfaces, name=names, room=rooms, limit=limits)
    def check(self, surface: SurfaceName, name: str, room: str, limit: int) -> None:
        answer = self.do(surface, name, "check_messages", channel=room, instance_id=name, limit=limit)
        numbers = self.take(name, answer, room)
        assert set(numbers) == set(sorted(self.others(name, room))[-limit:])

    @rule(surface=surfaces, name=names, room=rooms, follows=st.booleans())
    def wait(self, surface: SurfaceName, name: str, room: str, *, follows: bool) -> None:
        wait: dict[str, Any] = {"wait": 0.001} if surface in REST else {"timeout_seconds": 0.001, "persistent": False}
        if follows:
            self.follow(surface, name, room, **wait)
            return
        operation = "check_messages" if surface in REST else "wait_for_reply"
        self.take(name, self.do(surface, name, operation, channel=room, instance_id=name, **wait), room)

    @rule(surface=surfaces, name=names, limit=limits, wait=st.sampled_from((0, 0.001)))
    def inbox(self, surface: SurfaceName, name: str, limit: int, wait: float) -> None:
        self.take(name, self.do(surface, name, "inbox", instance_id=name, limit=limit, wait=wait))

    @rule(surface=surfaces, name=names, pick=picks)
    def acknowledge(self, surface: SurfaceName, name: str, pick: int) -> None:
        if not self.shown[name]:
            return
        number = sorted(self.shown[name])[pick % len(self.shown[name])]
        room = self.said[number].room
        self.waived[name, room] = max(self.waived[name, room], number)
        if surface in REST:
            self.do(surface, name, "ack_inbox", instance_id=name, channel=room, up_to=number)
        else:
            self.take(name, self.do(surface, name, "inbox", instance_id=name, limit=1, ack={room: number}))

    @precondition(lambda self: self.said)
    @rule(surface=surfaces, name=names, pick=picks)
    def replies(self, surface: SurfaceName, name: str, pick: int) -> None:
        number = 1 + pick % len(self.said)
        found = self.do(surface, name, "get_replies", message_id=number, channel=self.said[number].room)
        answers = [other for other, said in self.said.items() if said.in_reply_to == number]
        assert ids(found, "replies") == answers
        assert found["parent"]["reply_count"] == len(answers)

    @rule(surface=surfaces, name=names, key=keys)
    def get_shared(self, surface: SurfaceName, name: str, key: str) -> None:
        if key in self.items:
            found = self.do(surface, name, "get_shared_data", key=key)
            assert contents({"messages": [found]}) == [self.items[key]]
        else:
            self.surface(surface).refused(self.callers[name], "get_shared_data", "not_found", key=key)

    @rule(surface=surfaces, name=names)
    def list_channels(self, surface: SurfaceName, name: str) -> None:
        counts = {each["name"]: each["message_count"] for each in self.do(surface, name, "list_channels")["channels"]}
        rooms = [said.room for said in self.said.values()]
        assert {room: counts.get(room, 0) for room in ROOMS} == {room: rooms.count(room) for room in ROOMS}

    # --- the end ------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        assert laws.broken(self.owner) == []
        for name in NAMES:
            self.empty_inbox(name)
        for name, room in self.follows:
            self.read_to_the_end(name, room)
        assert laws.broken(self.owner) == []

    def read_to_the_end(self, name: str, room: str) -> None:
        for _ in range(MOST_ROUNDS):
            before = self.followed[name, room]
            self.follow("lane", name, room, limit=2)
            if self.followed[name, room] == before:
                break
        assert self.follows[name, room] == self.others(name, room), f"{name} read on in #{room} and missed something"

    def empty_inbox(self, name: str) -> None:
        for _ in range(MOST_ROUNDS):
            answer = self.do("lane", name, "inbox", instance_id=name, limit=3)
            if not self.take(name, answer):
                break
        else:
            raise AssertionError(f"the inbox of {name} does not end")
        assert answer["unread"] == {}
        for room in ROOMS:
            due = {number for number in self.others(name, room) if number > self.waived[name, room]}
            assert due <= self.shown[name], f"{name} was never shown something of #{room}"


def test_instances_that_mix_operations_and_surfaces_miss_nothing(surface: Callable[[SurfaceName], Surface]) -> None:
    class Here(Conversation):
        def __init__(self) -> None:
            super().__init__(surface)

    run_state_machine_as_test(Here, settings=tried(12, steps=30))
