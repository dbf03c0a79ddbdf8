"""Receipts against what clients logged: whoever reads how and where, a message's receipts are the answers it was in."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.concurrency.traffic import Wire, spread, together
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller

pytestmark = pytest.mark.slow

READERS = 6
CALLS = 30
CHANNELS = ("red", "blue")

type Span = tuple[str, str]
"""When a call began and when its answer was there, RFC 3339."""


@dataclass
class Log:
    """What one instance was handed: by message, the first call whose answer held it. `sent`: where its own went."""

    name: str
    first: dict[int, Span] = field(default_factory=dict)
    sent: dict[int, str] = field(default_factory=dict)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def some_call(chance: random.Random, log: Log) -> tuple[str, dict[str, Any]]:
    """Return a call that a client might make now."""
    channel = chance.choice(CHANNELS)
    read = {"channel": channel, "instance_id": log.name, "limit": chance.choice((1, 3, 20))}
    known = chance.choice([0, *log.first, *log.sent])
    calls: list[tuple[str, dict[str, Any]]] = [
        ("send_message", {"channel": channel, "sender": log.name, "content": "x"}),
        ("check_messages", read),
        ("check_messages", read | {"after_id": known}),
        ("check_messages", read | {"after_id": known, "wait": 0.1}),
        ("inbox", {"instance_id": log.name, "limit": read["limit"]}),
        ("inbox", {"instance_id": log.name, "limit": read["limit"], "wait": 0.1}),
        ("ack_inbox", {"instance_id": log.name, "channel": channel, "up_to": known}),
    ]
    return chance.choice([calls[0], *calls])


def converse(url: str, other: str, caller: Caller, name: str, chance: random.Random) -> Log:
    """Read and write at random, now on one server and now on the other; return the log."""
    log = Log(name)
    with Wire(url, caller) as here, Wire(other, caller) as there:
        here("register", instance_id=name)
        for channel in CHANNELS:
            log.sent[here("send_message", channel=channel, sender=name, content="hello").data["id"]] = channel
        for _ in range(CALLS):
            operation, arguments = some_call(chance, log)
            began = now()
            answer = chance.choice((here, there))(operation, **arguments)
            assert answer.status == 200, answer
            if operation == "send_message":
                log.sent[answer.data["id"]] = answer.data["channel"]
            for message in answer.data.get("messages", ()):
                log.first.setdefault(message["id"], (began, now()))
    return log


def test_receipts_equal_what_the_clients_logged(pair: list[str], make_workspace: MakeWorkspace, seed: int) -> None:
    caller = make_workspace("unlimited")
    logs = together(
        lambda number: converse(
            spread(pair, number),
            spread(pair, number + 1),
            caller,
            f"reader-{number}",
            random.Random(seed + number),  # noqa: S311 - repeatable, not secret
        ),
        READERS,
    )
    logged: dict[int, dict[str, Span]] = defaultdict(dict)
    for log in logs:
        for number, span in log.first.items():
            logged[number][log.name] = span
    stored = {number: channel for log in logs for number, channel in log.sent.items()}
    assert sorted(stored) == list(range(1, len(stored) + 1))
    with Wire(pair[0], caller) as wire:
        for number, channel in stored.items():
            told = wire("message_status", channel=channel, message_id=number).data
            handed = {each["instance_id"]: each["at"] for each in told["handed"]}
            assert set(handed) == set(logged[number]), f"#{number}"
            for name, at in handed.items():
                began, ended = logged[number][name]
                assert began <= at <= ended, f"#{number} to {name}"
    assert sum(map(len, logged.values())) > len(stored), "too little was read for this to mean anything"
