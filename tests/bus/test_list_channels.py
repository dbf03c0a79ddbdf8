from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from accounts import principals
from accounts.models import Workspace
from bus.models import Channel, ChannelSender, Message
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import TIME, seed
from tests.support.statements import Statements
from tests.support.surfaces import Surface

LIST = "list_channels"

type Recorder = Callable[..., AbstractContextManager[Statements]]


def listed(call: Surface, caller: Caller) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in call.ok(caller, LIST)["channels"]}


def test_each_channel_is_told_with_the_keys_of_the_contract(call: Surface, alice: Caller) -> None:
    call.ok(alice, "create_channel", name="empty", description="about")
    seed(alice, ["one", "two"], sender="ann")
    seed(alice, ["three"], sender="bea")
    answer = call.ok(alice, LIST)
    assert set(answer) == {"channels"}
    general, empty = answer["channels"]
    assert general.pop("description")
    for times in (general.pop("created_at"), empty.pop("created_at"), general.pop("last_message_at")):
        assert TIME.fullmatch(times)
    assert general == {"name": "general", "message_count": 3, "active_senders": "bea, ann"}
    assert empty == {
        "name": "empty",
        "description": "about",
        "message_count": 0,
        "last_message_at": None,
        "active_senders": "",
    }
    if answer.text is not None:
        assert "#general: 3 messages" in answer.text
        assert "#empty: 0 messages — about" in answer.text


def test_the_latest_activity_comes_first_then_the_name(call: Surface, alice: Caller, clock: Clock) -> None:
    for name in ("zeta", "beta", "alpha"):
        call.ok(alice, "create_channel", name=name)
    assert list(listed(call, alice)) == ["alpha", "beta", "general", "zeta"]
    for name in ("zeta", "beta"):
        clock.forward(seconds=1)
        seed(alice, ["x"], channel=name)
    assert list(listed(call, alice)) == ["beta", "zeta", "alpha", "general"]


def test_the_last_message_is_the_newest_ones_time(call: Surface, alice: Caller) -> None:
    sent = seed(alice, ["one", "two"])
    stored = Message.objects.get(workspace=alice.workspace, number=sent[-1])
    assert listed(call, alice)["general"]["last_message_at"] == product_clock.iso(stored.created_at)


# --- what has expired is not counted ----------------------------------------------------------------------------


def test_expired_messages_leave_the_count_and_the_senders_at_once(call: Surface, alice: Caller, clock: Clock) -> None:
    seed(alice, ["old", "old"], sender="ann")
    seed(alice, ["old"], channel="quiet", sender="ann")
    clock.forward(days=50)
    seed(alice, ["newer"], sender="bea")
    before = listed(call, alice)
    assert (before["general"]["message_count"], before["general"]["active_senders"]) == (3, "bea, ann")
    clock.forward(days=41)
    after = listed(call, alice)
    assert (after["general"]["message_count"], after["general"]["active_senders"]) == (1, "bea")
    assert after["general"]["last_message_at"] == before["general"]["last_message_at"]
    quiet = after["quiet"]
    assert (quiet["message_count"], quiet["last_message_at"], quiet["active_senders"]) == (0, None, "")
    assert Message.objects.filter(workspace=alice.workspace).count() == 4, "nothing was deleted yet"


def test_a_channel_whose_messages_all_expired_starts_to_count_anew(call: Surface, alice: Caller, clock: Clock) -> None:
    seed(alice, ["a", "b", "c"])
    clock.forward(days=91)
    assert listed(call, alice)["general"]["message_count"] == 0
    seed(alice, ["d"], sender="new")
    general = listed(call, alice)["general"]
    assert (general["message_count"], general["active_senders"]) == (1, "new")


def test_counts_stay_right_when_the_expired_are_deleted(call: Surface, alice: Caller, clock: Clock) -> None:
    seed(alice, ["a", "b"])
    clock.forward(days=91)
    seed(alice, ["c", "d", "e"])
    Message.objects.filter(workspace=alice.workspace, number__lte=2).delete()
    assert listed(call, alice)["general"]["message_count"] == 3


def test_a_hold_keeps_what_the_plans_figure_would_hide(call: Surface, alice: Caller, clock: Clock) -> None:
    seed(alice, ["kept"])
    clock.forward(days=60)
    until = product_clock.iso(product_clock.now() + timedelta(days=20))
    Workspace.objects.filter(pk=alice.workspace.pk).update(
        plan="free", retention_holds=[{"days": 90, "until": until}, {"days": 30, "until": until}]
    )
    principals._forget({"workspace": alice.workspace.pk})
    assert listed(call, alice)["general"]["message_count"] == 1
    clock.forward(days=21)
    assert listed(call, alice)["general"]["message_count"] == 0, "the hold is over, the figure is in force"


def test_without_a_retention_nothing_expires(call: Surface, alice: Caller, clock: Clock) -> None:
    Workspace.objects.filter(pk=alice.workspace.pk).update(plan="unlimited")
    seed(alice, ["for good"])
    clock.forward(days=3650)
    general = listed(call, alice)["general"]
    assert (general["message_count"], general["active_senders"]) == (1, "writer")
    assert general["last_message_at"] is not None


# --- lists never count rows -------------------------------------------------------------------------------------


def test_no_statement_counts_or_groups_messages(call: Surface, alice: Caller, statements: Recorder) -> None:
    seed(alice, ["x"] * 5)
    with statements() as ran:
        assert listed(call, alice)["general"]["message_count"] == 5
    assert ran.queries
    for sql in ran.queries:
        assert not re.search(r"\bcount\s*\(", sql, re.IGNORECASE), sql
        assert not ("bus_message" in sql and re.search(r"\bgroup by\b", sql, re.IGNORECASE)), sql


def test_many_channels_take_no_more_statements_than_few(call: Surface, alice: Caller, statements: Recorder) -> None:
    seed(alice, ["x"])
    listed(call, alice)
    with statements() as few:
        listed(call, alice)
    Channel.objects.bulk_create(Channel(workspace=alice.workspace, name=f"c{number:03}") for number in range(150))
    seed(alice, ["x"], channel="c149", sender="late")
    with statements() as many:
        found = listed(call, alice)
    assert len(found) == 151
    assert found["c149"]["active_senders"] == "late"
    assert len(many) == len(few), str(many)


def test_the_list_is_bounded_and_says_so(call: Surface, alice: Caller) -> None:
    Channel.objects.bulk_create(Channel(workspace=alice.workspace, name=f"c{number:04}") for number in range(1000))
    answer = call.ok(alice, LIST)
    assert len(answer["channels"]) == 1000
    assert answer["has_more"] is True


# --- whose they are ---------------------------------------------------------------------------------------------


def test_an_archived_channel_is_not_listed_until_it_is_used_again(call: Surface, alice: Caller) -> None:
    seed(alice, ["x"], channel="old")
    Channel.objects.filter(workspace=alice.workspace, name="old").update(archived_at=product_clock.now())
    assert list(listed(call, alice)) == ["general"]
    seed(alice, ["y"], channel="old")
    assert listed(call, alice)["old"]["message_count"] == 2


def test_strangers_see_neither_channels_nor_counts_nor_senders(call: Surface, alice: Caller, mallory: Caller) -> None:
    seed(alice, ["x"] * 3, sender="secret")
    seed(alice, ["x"], channel="hidden")
    assert list(listed(call, mallory)) == ["general"]
    general = listed(call, mallory)["general"]
    assert (general["message_count"], general["last_message_at"], general["active_senders"]) == (0, None, "")
    assert ChannelSender.objects.filter(workspace=mallory.workspace).count() == 0


def test_a_read_only_key_may_list(call: Surface, alice: Caller) -> None:
    assert list(listed(call, alice.with_key(read_only=True))) == ["general"]


def test_an_argument_is_refused_for_there_is_none(call: Surface, alice: Caller) -> None:
    call.refused(alice, LIST, "invalid_input", limit=5)
