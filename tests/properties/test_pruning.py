"""What is visible never depends on whether, or when, pruning ran: two workspaces are told the same, one is pruned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from accounts.models import UsageDay, Workspace
from accounts.plan_changes import set_overrides
from bus import pruners, pruning
from bus.models import ChannelSender, Counters, HandOut, Message, SharedItem
from bus.operations import OPERATIONS
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError
from tests.support.cast import Caller, make_workspace
from tests.support.messages import principal_of
from tests.support.properties import tried

NAMES = ("ann", "ben", "cleo")
ROOMS = ("general", "plans")
KEYS = ("notes", "report")
HOURS = 11
"""Time goes on by multiples of this, none of which is a number of days that anything is kept for: what one workspace is
told a moment later than the other expires with it."""

names = st.sampled_from(NAMES)
rooms = st.sampled_from(ROOMS)
keys = st.sampled_from(KEYS)


class Twins(RuleBasedStateMachine):
    """`pruned` and `kept` do everything together; days of retention only fall, and holds run out."""

    def __init__(self) -> None:
        super().__init__()
        clock.reset()
        self.pruned, self.kept = make_workspace("unlimited"), make_workspace("unlimited")
        self.days = 5
        self.keep_days()
        for each in NAMES:
            self.both("register", instance_id=each)

    def both(self, operation: str, **arguments: Any) -> Any:
        """Do the same in both; what they answer is alike."""
        one, other = (told(caller, operation, arguments) for caller in (self.pruned, self.kept))
        assert one == other, operation
        return one

    def keep_days(self) -> None:
        for caller in (self.pruned, self.kept):
            set_overrides(caller.workspace, {"retention_days": self.days})

    @rule(sender=names, room=rooms, parent=st.none() | st.integers(1, 12), many=st.integers(1, 3))
    def send(self, sender: str, room: str, parent: int | None, many: int) -> None:
        for _ in range(many):
            self.both("send_message", sender=sender, channel=room, content=f"needle {sender}", in_reply_to=parent)

    @rule(key=keys, sender=names)
    def share(self, key: str, sender: str) -> None:
        self.both("share_data", key=key, content=f"by {sender}", sender=sender)

    @rule(reader=names, room=rooms)
    def read(self, reader: str, room: str) -> None:
        self.both("check_messages", channel=room, instance_id=reader)

    @rule(reader=names)
    def read_inbox(self, reader: str) -> None:
        self.both("inbox", instance_id=reader, limit=2)

    @rule(steps=st.integers(1, 6) | st.integers(20, 80))
    def wait(self, steps: int) -> None:
        clock.shift(timedelta(hours=HOURS * steps))

    @rule()
    def keep_less(self) -> None:
        if self.days > 1:
            self.days -= 1
            self.keep_days()

    @rule(is_all=st.booleans())
    def prune(self, *, is_all: bool) -> None:
        before = self.rows_left()
        if is_all:
            pruning.prune(self.pruned.workspace.pk)
        else:
            pruning.prune(self.pruned.workspace.pk, until=0.0)
        pruners.everywhere()
        assert self.rows_left() <= before

    def rows_left(self) -> int:
        return Message.objects.filter(workspace=self.pruned.workspace).count()

    @rule()
    def look(self) -> None:
        self.look_around()

    def look_around(self) -> None:
        for room in ROOMS:
            self.both("check_messages", channel=room, limit=200)
            self.both("check_messages", channel=room, after_id=0, limit=200)
        self.both("search_messages", query="needle", limit=100)
        self.both("list_channels")
        self.both("list_shared_data")
        for key in KEYS:
            self.both("get_shared_data", key=key)
        self.both("whoami")
        last = Counters.objects.get(workspace=self.kept.workspace).last_number
        for number in range(max(1, last - 12), last + 1):
            self.both("get_replies", message_id=number)
            self.both("message_status", message_id=number)

    def teardown(self) -> None:
        try:
            self.look_around()
            pruning.prune(self.pruned.workspace.pk)
            self.look_around()
            self.nothing_is_left_of_what_expired()
        finally:
            clock.reset()

    def nothing_is_left_of_what_expired(self) -> None:
        edge = pruning.edge_of(Workspace.objects.get(pk=self.pruned.workspace.pk))
        own = {"workspace": self.pruned.workspace}
        assert not Message.objects.filter(**own, number__lt=edge.first).exists()
        assert not SharedItem.objects.filter(**own, created_at__lt=edge.cutoff).exists()
        assert not ChannelSender.objects.filter(**own, last_number__lt=edge.first).exists()
        assert not HandOut.objects.filter(**own, at__lt=edge.cutoff).exists()
        sizes = SharedItem.objects.filter(**own).values_list("size_bytes", flat=True)
        assert Counters.objects.get(**own).data_bytes == sum(sizes)
        assert UsageDay.objects.filter(**own).count() == UsageDay.objects.filter(workspace=self.kept.workspace).count()


def told(caller: Caller, operation: str, arguments: dict[str, Any]) -> Any:
    """Return an answer or a refusal without what differs between any two workspaces: times and names."""
    try:
        answer = OPERATIONS[operation](principal_of(caller), arguments)
    except CrossWireError as refusal:
        return refusal.code, refusal.message
    return without_times(answer)


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: each is None if key in TIMES else without_times(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_times(each) for each in value]
    return value


TIMES = {
    *("at", "accepted", "created", "created_at", "expires_at", "last_seen", "last_message_at", "since", "until"),
    *("server_time", "resets_at", "workspace", "key_name", "upgrade_url"),
}


def test_what_is_visible_never_depends_on_pruning() -> None:
    run_state_machine_as_test(Twins, settings=tried(12, steps=30))
