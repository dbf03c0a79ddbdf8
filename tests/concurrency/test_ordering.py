"""Order = id order = commit order: whoever asks "after the last one I saw" never skips a message that commits late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bus.models import Message
from tests.concurrency.traffic import WORK_SECONDS, Wire, spread, together
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller

pytestmark = pytest.mark.slow

SENDERS = 32
EACH = 20
CHANNELS = ("red", "blue")
FOLLOW_SECONDS = 90.0


def send_all(caller: Caller, urls: list[str], number: int) -> list[tuple[str, int]]:
    """Send one message after the other, to the channels in turn; return (channel, id) as acknowledged."""
    stored = []
    with Wire(spread(urls, number), caller) as wire:
        for count in range(EACH):
            channel = CHANNELS[(number + count) % len(CHANNELS)]
            answer = wire("send_message", channel=channel, sender=f"sender-{number}", content=f"{number} {count}")
            assert answer.status == 200, answer
            stored.append((channel, answer.data["id"]))
    return stored


def follow(wire: Wire, channel: str, is_complete: Callable[[list[int]], bool], **arguments: Any) -> list[int]:
    """Read after the last id seen until complete; return the ids in the order they came."""
    seen: list[int] = []
    pause = threading.Event()
    give_up_at = time.monotonic() + FOLLOW_SECONDS
    while not is_complete(seen) and time.monotonic() < give_up_at:
        answer = wire("check_messages", channel=channel, after_id=seen[-1] if seen else 0, **arguments)
        assert answer.status == 200, answer
        seen += [message["id"] for message in answer.data["messages"]]
        assert answer.data["last_id"] == (seen[-1] if answer.data["messages"] else None)
        if not answer.data["messages"] and "wait" not in arguments:
            pause.wait(0.02)
    return seen


def test_no_follower_ever_skips_or_repeats_a_message(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    in_channel = SENDERS * EACH // len(CHANNELS)

    def follower(number: int) -> tuple[str, str, list[int]]:
        kind = ("poll", "wait", "poll as an instance", "wait as an instance")[number // 2 % 4]
        arguments: dict[str, Any] = {"limit": 7}
        if "wait" in kind:
            arguments["wait"] = 5
        if "instance" in kind:
            arguments["instance_id"] = f"follower-{number}"
        channel = CHANNELS[number // 8]
        with Wire(spread(urls, number), caller) as wire:
            return channel, kind, follow(wire, channel, lambda seen: len(seen) >= in_channel, **arguments)

    with ThreadPoolExecutor(16, thread_name_prefix="follower") as threads:
        followers = [threads.submit(follower, number) for number in range(16)]
        acknowledged = together(lambda number: send_all(caller, urls, number), SENDERS)
        followed = [each.result(WORK_SECONDS) for each in followers]

    expected = {
        channel: sorted(number for sent in acknowledged for where, number in sent if where == channel)
        for channel in CHANNELS
    }
    assert sorted(expected["red"] + expected["blue"]) == list(range(1, SENDERS * EACH + 1))
    for channel, kind, seen in followed:
        assert seen == expected[channel], (
            f"{kind} on #{channel} saw something else than was stored, or in another order"
        )
    for sent in acknowledged:
        numbers = [number for _, number in sent]
        assert numbers == sorted(numbers), "a sender's own messages are out of order"


def test_time_and_place_in_the_channel_follow_the_ids(urls: list[str], make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    together(lambda number: send_all(caller, urls, number), SENDERS)
    rows = list(Message.objects.filter(workspace=caller.workspace).order_by("number").select_related("channel"))
    assert [row.number for row in rows] == list(range(1, SENDERS * EACH + 1))
    times = [row.created_at for row in rows]
    assert times == sorted(times)
    for channel in CHANNELS:
        places = [row.channel_seq for row in rows if row.channel.name == channel]
        assert places == list(range(1, len(places) + 1))
