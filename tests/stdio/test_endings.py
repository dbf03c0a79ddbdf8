"""However a process of local mode ends, its instance is offline at once and nothing it acknowledged is lost."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import wait_until
from tests.support.stdio import SOON, Process, process

LONG = {"persistent": False, "timeout_seconds": 200}


def statuses(seen_by: Process) -> dict[str, str]:
    """Return who is online."""
    return {each["instance_id"]: each["status"] for each in seen_by.use("list_instances")["instances"]}


def begun(waiter: Process, seen_by: Process, instance: str, **arguments: Any) -> int:
    """Begin a wait, return the id of its call once others see it."""
    begun = waiter.begin("wait_for_reply", instance_id=instance, **LONG, **arguments)
    wait_until(lambda: instance in waiting(seen_by), SOON, lambda: "the wait does not begin")
    return begun


def waiting(seen_by: Process) -> set[str]:
    """Return who waits."""
    return {each["instance_id"] for each in seen_by.use("list_instances")["instances"] if each["waiting_on"]}


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGINT], ids=["end of input", "SIGTERM", "SIGINT"])
def test_who_spoke_through_it_is_offline_at_once_and_waits_are_answered(user: Path, how: signal.Signals | None) -> None:
    with process(user) as ends, process(user) as stays:
        ends.shake_hands().use("register", instance_id="ann")
        stays.shake_hands().use("register", instance_id="bo")
        waited = begun(ends, stays, "ann")
        assert statuses(stays) == {"ann": "online", "bo": "online"}
        if how is None:
            ends.close_input()
        else:
            ends.process.send_signal(how)
        assert ends.answer(waited)["result"]["structuredContent"]["ended"] == "restart"
        assert ends.read() is None
        assert ends.exit_code() == 0
        assert statuses(stays) == {"ann": "offline", "bo": "online"}
        assert waiting(stays) == set()
        assert stays.use("send_message", sender="bo", content="anybody?")["recipients"] == 0


def test_who_waits_in_another_process_too_stays_online(user: Path) -> None:
    with process(user) as ends, process(user) as stays:
        ends.shake_hands().use("register", instance_id="ann")
        begun(stays.shake_hands(), ends, "ann")
        ends.close_input()
        assert ends.exit_code() == 0
        assert statuses(stays) == {"ann": "online"}


def test_requests_written_before_the_end_of_input_are_answered(user: Path) -> None:
    with process(user) as once:
        once.shake_hands()
        sent = [once.begin("send_message", sender="ann", content=f"{number}") for number in range(20)]
        once.close_input()
        numbers = [once.answer(each)["result"]["structuredContent"]["id"] for each in sent]
        assert sorted(numbers) == list(range(1, 21))
        assert once.exit_code() == 0


def test_a_client_that_leaves_while_answers_are_written_ends_the_process(user: Path) -> None:
    with process(user) as left, process(user) as other:
        left.shake_hands()
        other.shake_hands().use("send_message", sender="ann", content="read me")
        left.stop_reading()
        left.begin("check_messages", instance_id="bo")
        assert left.exit_code() == 0
        # Said after the answer was complete: it would confirm one that had arrived.
        other.use("send_message", sender="bo", content="something else")
        (message,) = other.use("check_messages", instance_id="bo")["messages"]
        assert message["again"] is True


def test_an_answer_that_arrived_is_confirmed_by_what_is_said_next(user: Path) -> None:
    with process(user) as stays, process(user) as other:
        other.shake_hands().use("send_message", sender="ann", content="read me")
        assert len(stays.shake_hands().use("check_messages", instance_id="bo")["messages"]) == 1
        stays.use("send_message", sender="bo", content="something else")
        assert stays.use("inbox", instance_id="bo")["messages"] == []


def test_a_cancelled_wait_is_over_at_once_and_the_process_goes_on(user: Path) -> None:
    with process(user) as local, process(user) as other:
        other.shake_hands()
        waited = begun(local.shake_hands(), other, "ann")
        cancel = f'{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{waited}}}}}'
        local.write(cancel.encode())
        wait_until(lambda: waiting(other) == set(), SOON, lambda: "the wait goes on")
        other.use("send_message", sender="bo", content="x")
        assert len(local.use("inbox", instance_id="ann")["messages"]) == 1
        assert not [message for message in local.others if message.get("id") == waited]
