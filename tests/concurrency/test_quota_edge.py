"""At the edge of what a plan allows: parallel callers over all processes get exactly what is left, and no more."""

from __future__ import annotations

from collections import Counter

import pytest

from accounts.models import UsageDay
from bus.models import Channel, ChannelSender, Counters, IdempotencyKey, Instance, Message
from crosswire.lib import clock
from tests.concurrency.traffic import Answer, Wire, spread, together
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, seed

pytestmark = pytest.mark.slow

CALLERS = 32
QUOTA = 40


def sends(caller: Caller, urls: list[str], number: int, count: int = 2) -> list[Answer]:
    """Send a few messages under a name, and to a channel, of its own."""
    name = f"agent-{number}"
    with Wire(spread(urls, number), caller) as wire:
        return [wire("send_message", channel=name, sender=name, content=f"{nth}") for nth in range(count)]


def codes(answers: list[list[Answer]]) -> Counter[str]:
    return Counter(answer.code for each in answers for answer in each)


@pytest.mark.parametrize("already", [0, 10, QUOTA - 1, QUOTA])
def test_exactly_the_rest_of_the_months_quota_gets_through(
    urls: list[str], make_workspace: MakeWorkspace, already: int
) -> None:
    caller = make_workspace("unlimited")
    change_plan(caller, messages=QUOTA)
    seed(caller, [f"before {nth}" for nth in range(already)], sender="early")
    answers = together(lambda number: sends(caller, urls, number), CALLERS)

    assert codes(answers) == Counter({"": QUOTA - already, "quota_exceeded": 2 * CALLERS - (QUOTA - already)})
    assert all(answer.retry_after for each in answers for answer in each if answer.code)
    own = {"workspace": caller.workspace}
    counters = Counters.objects.get(**own)
    assert (counters.month_messages, counters.last_number) == (QUOTA, QUOTA)
    assert Message.objects.filter(**own).count() == QUOTA
    assert sum(UsageDay.objects.filter(**own).values_list("messages", flat=True)) == QUOTA


def test_refused_messages_leave_nothing_behind(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    change_plan(caller, messages=QUOTA)
    answers = together(lambda number: sends(caller, urls, number), CALLERS)

    stored = {f"agent-{number}": sum(not a.code for a in each) for number, each in enumerate(answers)}
    stored = {name: count for name, count in stored.items() if count}
    own = {"workspace": caller.workspace}
    assert dict(UsageDay.objects.filter(**own).values_list("instance", "messages")) == stored
    assert set(Instance.objects.filter(**own).values_list("name", flat=True)) == set(stored)
    assert set(ChannelSender.objects.filter(**own).values_list("sender", flat=True)) == set(stored)
    seqs = dict(Channel.objects.filter(**own).exclude(name="general").values_list("name", "last_seq"))
    assert seqs == stored


def test_a_new_month_begins_once_and_exactly(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    change_plan(caller, messages=QUOTA)
    Counters.objects.filter(workspace=caller.workspace).update(
        month=clock.month_of(clock.now()) - 1, month_messages=QUOTA
    )
    answers = together(lambda number: sends(caller, urls, number), CALLERS)
    assert codes(answers)[""] == QUOTA
    counters = Counters.objects.get(workspace=caller.workspace)
    assert (counters.month, counters.month_messages) == (clock.month_of(clock.now()), QUOTA)


def test_repeats_cost_nothing_and_are_stored_once(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    change_plan(caller, messages=4)

    def send(number: int) -> list[Answer]:
        """Each of eight retried messages has four clients that send it at once, over all servers."""
        key = f"key-{number // 4}"
        with Wire(spread(urls, number), caller) as wire:
            return [wire("send_message", sender="retrier", content=key, idempotency_key=key) for _ in range(3)]

    answers = together(send, CALLERS)
    assert codes(answers) == Counter({"": CALLERS // 2 * 3, "quota_exceeded": CALLERS // 2 * 3})
    created = Counter(a.data["id"] for each in answers for a in each if a.data.get("created"))
    assert created == Counter({1: 1, 2: 1, 3: 1, 4: 1}), "each message is new to exactly one of its senders"
    by_key = {(number // 4): {a.data["id"] for a in each if not a.code} for number, each in enumerate(answers)}
    assert sorted(len(ids) for ids in by_key.values()) == [0, 0, 0, 0, 1, 1, 1, 1]
    own = {"workspace": caller.workspace}
    assert Counters.objects.get(**own).month_messages == 4
    assert IdempotencyKey.objects.filter(**own).count() == 4


def test_exactly_the_channels_that_are_left_are_made(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    change_plan(caller, channels=6)  # `general` is one of them

    def make(number: int) -> list[Answer]:
        with Wire(spread(urls, number), caller) as wire:
            if number % 4 < 2:
                return [wire("create_channel", name=f"room-{number}")]
            return [wire("send_message", channel=f"room-{number}", sender="maker", content="x")]

    answers = together(make, CALLERS)
    assert codes(answers) == Counter({"": 5, "limit_reached": CALLERS - 5})
    names = set(Channel.objects.filter(workspace=caller.workspace).values_list("name", flat=True))
    assert names == {"general"} | {f"room-{number}" for number, each in enumerate(answers) if not each[0].code}


def test_exactly_the_places_that_are_left_are_taken(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    change_plan(caller, instances=6)
    arriving = {
        0: ("register", "instance_id", {}),
        1: ("check_messages", "instance_id", {}),
        2: ("send_message", "sender", {"content": "x"}),
        3: ("share_data", "sender", {"key": "k", "content": "x"}),
    }

    def arrive(number: int) -> list[Answer]:
        operation, naming, arguments = arriving[number // 2 % 4]
        with Wire(spread(urls, number), caller) as wire:
            return [wire(operation, **{naming: f"agent-{number}"}, **arguments) for _ in range(2)]

    answers = together(arrive, CALLERS)
    assert codes(answers) == Counter({"": 12, "limit_reached": 2 * CALLERS - 12})
    inside = {f"agent-{number}" for number, each in enumerate(answers) if not each[0].code}
    assert set(Instance.objects.filter(workspace=caller.workspace).values_list("name", flat=True)) == inside
    assert len(inside) == 6
