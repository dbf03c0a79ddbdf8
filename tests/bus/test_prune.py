"""`manage.py prune`, and the scheduled task that does the same: what goes, what stays, what is recorded."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from accounts import aging, exports, services
from accounts.models import ApiKey, AuditEvent, Pruned, UsageDay, Workspace
from accounts.plan_changes import set_plan
from bus import pruners, pruning, retention, wakeups
from bus.models import (
    ChannelSender,
    Claim,
    Counters,
    Cursor,
    HandOut,
    IdempotencyKey,
    Instance,
    Message,
    SharedItem,
    Wait,
)
from bus.services import channels, reading, search, shared
from crosswire.lib import clock as product_clock
from crosswire.lib import hub
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller, Credential
from tests.support.messages import change_plan, data_of, ids, principal_of, seed
from tests.support.processes import wait_until
from tests.support.races import at_once
from tests.support.surfaces import Surface


def numbers(caller: Caller) -> list[int]:
    """Return the numbers of all messages that are stored, expired ones too."""
    return list(Message.objects.filter(workspace=caller.workspace).order_by("number").values_list("number", flat=True))


def prune(caller: Caller) -> dict[str, int]:
    """Prune a workspace; a round would not have passed it over if anything goes."""
    is_due = bool(pruning.due(Workspace.objects.filter(pk=caller.workspace.pk)))
    gone, _ = pruning.prune(caller.workspace.pk)
    assert is_due or not gone
    return dict(gone)


@pytest.fixture
def free(make_workspace: MakeWorkspace) -> Caller:
    """On the plan that keeps everything for seven days."""
    return make_workspace("free")


# --- messages ---------------------------------------------------------------------------------------------------


def test_what_has_expired_goes_and_nothing_else(free: Caller, mallory: Caller, clock: Clock) -> None:
    seed(free, ["old one", "old two"])
    seed(mallory, ["on a plan that keeps it"])
    clock.forward(days=4)
    seed(free, ["young"])
    clock.forward(days=3, minutes=2)
    assert prune(free)["messages"] == 2
    assert numbers(free) == [3]
    assert "messages" not in prune(free), "there is nothing more to do"
    assert "messages" not in prune(mallory)
    assert numbers(mallory) == [1]


def test_it_goes_a_minute_late_for_machines_whose_clock_is_behind(free: Caller, clock: Clock) -> None:
    seed(free, ["x"])
    clock.forward(days=7, seconds=30)
    assert retention.first_live(principal_of(free)) == 2, "nobody sees it"
    assert prune(free) == {}
    clock.forward(minutes=1)
    assert prune(free)["messages"] == 1


def test_without_a_retention_nothing_goes(make_workspace: MakeWorkspace, clock: Clock) -> None:
    caller = make_workspace("unlimited")
    seed(caller, ["x"])
    shared.share(principal_of(caller), key="k", content="x", sender="a")
    clock.forward(days=390)
    assert set(prune(caller)) <= {"usage_days"}
    assert numbers(caller) == [1]


def test_a_longer_retention_that_is_held_keeps_everything(make_workspace: MakeWorkspace, clock: Clock) -> None:
    caller = make_workspace("pro")
    seed(caller, ["x"])
    clock.forward(days=60)
    set_plan(caller.workspace, "free")
    clock.forward(days=29)
    assert prune(caller) == {}
    clock.forward(days=2)
    assert prune(caller)["messages"] == 1


def test_a_plan_that_grows_in_the_middle_keeps_what_is_left(
    free: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "TOGETHER_MOST", 20)
    change_plan(free, messages=1_000)
    seed(free.with_key(), ["x"] * 260)
    clock.forward(days=8)

    def grow() -> None:
        set_plan(free.workspace, "pro")

    gone, _ = pruning.prune(free.workspace.pk, grow)
    assert numbers(free) == list(range(gone["messages"] + 1, 261))
    assert 0 < gone["messages"] < 260
    assert retention.first_live(principal_of(free)) == gone["messages"] + 1


def test_replies_outlive_their_parents_whichever_go(call: Surface, alice: Caller, clock: Clock) -> None:
    change_plan(alice, retention_days=10)
    alice = alice.with_key()
    parent = call.ok(alice, "send_message", sender="a", content="parent")["id"]
    clock.forward(days=5)
    reply = call.ok(alice, "send_message", sender="b", content="reply", in_reply_to=parent)["id"]
    answer = call.ok(alice, "send_message", sender="a", content="thanks", in_reply_to=reply)["id"]
    clock.forward(days=6)
    before = call.ok(alice, "get_replies", channel="general", message_id=parent)
    assert prune(alice)["messages"] == 1
    assert data_of(call.ok(alice, "get_replies", channel="general", message_id=parent)) == data_of(before)
    (told,) = call.ok(alice, "check_messages", limit=1)["messages"]
    assert (told["id"], told["in_reply_to"]) == (answer, reply)
    call.refused(alice, "send_message", "not_found", sender="a", content="x", in_reply_to=parent)
    clock.forward(days=5)
    assert prune(alice)["messages"] == 2
    call.refused(alice, "get_replies", "not_found", channel="general", message_id=reply)
    assert call.ok(alice, "send_message", sender="a", content="anew")["id"] == answer + 1


def test_an_empty_workspace_reads_as_before_it_was_emptied(call: Surface, free: Caller, clock: Clock) -> None:
    for channel in ("general", "plans"):
        seed(free, ["x", "needle"], channel=channel)
    clock.forward(days=8)
    before = seen(call, free)
    prune(free)
    assert numbers(free) == []
    assert seen(call, free) == before
    seed(free, ["y"])
    listed = call.ok(free, "list_channels")["channels"]
    assert [(each["name"], each["message_count"]) for each in listed] == [("general", 1), ("plans", 0)]
    assert listed[1]["last_message_at"] is None


def seen(call: Surface, caller: Credential) -> Any:
    """Return what a reader is shown of two channels, without the marks that MCP's fence makes anew each time."""
    return [
        ids(call.ok(caller, "check_messages", channel="general")),
        ids(call.ok(caller, "check_messages", channel="plans", after_id=0)),
        ids(call.ok(caller, "search_messages", query="needle")),
        call.ok(caller, "list_channels")["channels"],
    ]


def test_on_a_plan_without_end_a_channel_whose_messages_were_pruned_reads_as_empty(free: Caller, clock: Clock) -> None:
    seed(free, ["x"], channel="plans")
    clock.forward(days=8)
    seed(free, ["y"])
    prune(free)
    change_plan(free, "unlimited")
    listed = {each["name"]: each for each in channels.list_all(principal_of(free.with_key()))["channels"]}
    assert (listed["plans"]["message_count"], listed["plans"]["last_message_at"]) == (0, None)
    assert listed["plans"]["active_senders"] == ""


def test_counters_stay_and_so_does_the_month(free: Caller, clock: Clock) -> None:
    seed(free, ["x"] * 3)
    month = Counters.objects.get(workspace=free.workspace)
    clock.forward(days=8)
    prune(free)
    after = Counters.objects.get(workspace=free.workspace)
    assert (after.last_number, after.month_messages) == (month.last_number, month.month_messages) == (3, 3)


def test_large_numbers_go_in_steps_and_all_of_them(free: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "TOGETHER_MOST", 20)
    change_plan(free, messages=1_000)
    seed(free.with_key(), (f"needle {number}" for number in range(250)))
    clock.forward(days=8)
    seed(free, ["needle last"])
    steps: list[int] = []
    gone, is_all = pruning.prune(free.workspace.pk, lambda: steps.append(len(numbers(free))))
    assert (gone["messages"], is_all) == (250, True)
    assert [0 < before - after < 250 for before, after in pairwise(steps)].count(True) >= 2
    assert numbers(free) == [251]
    assert ids(search.search(principal_of(free), query="needle")) == [251]


def test_what_time_does_not_suffice_for_goes_next_time(
    free: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "TOGETHER_MOST", 20)
    change_plan(free, messages=1_000)
    seed(free.with_key(), ["x"] * 230)
    clock.forward(days=8)
    gone, is_all = pruning.prune(free.workspace.pk, until=0.0)
    assert not is_all
    left = numbers(free)
    assert left == list(range(1 + gone["messages"], 231)), "the oldest go first"
    assert gone["messages"] + prune(free)["messages"] == 230


def test_a_workspace_whose_export_is_being_made_is_left_alone(free: Caller, clock: Clock) -> None:
    seed(free, ["x"])
    clock.forward(days=8)
    exports.ask(free.workspace)
    assert prune(free) == {}
    clock.forward(days=1, minutes=1)
    assert prune(free)["messages"] == 1, "an export that nobody makes holds nothing up for good"


def test_many_at_once_delete_each_row_once(free: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "TOGETHER_MOST", 20)
    change_plan(free, messages=1_000)
    seed(free.with_key(), ["x"] * 300)
    clock.forward(days=8)
    found: list[Counter[str]] = []
    work = [lambda: found.append(pruning.prune(free.workspace.pk)[0])] * 3
    assert at_once(*work, lambda: seed(free, ["y"] * 50)) == [""] * 4
    assert sum(each["messages"] for each in found) == 300
    assert numbers(free) == list(range(301, 351))
    assert Pruned.objects.get(workspace=free.workspace, what="messages").count == 300


# --- what else ages ---------------------------------------------------------------------------------------------


def test_hand_outs_and_senders_go_with_their_messages(free: Caller, surface: Any, clock: Clock) -> None:
    lane: Surface = surface("lane")
    lane.ok(free, "register", instance_id="b")
    seed(free, ["x"], sender="a")
    lane.ok(free, "check_messages", instance_id="b")
    clock.forward(days=5)
    seed(free, ["y"], sender="c")
    lane.ok(free, "check_messages", instance_id="b")
    clock.forward(days=3)
    gone = prune(free)
    assert (gone["messages"], gone["hand_outs"], gone["channel_senders"]) == (1, 1, 1)
    assert [each.to_number for each in HandOut.objects.filter(workspace=free.workspace)] == [2]
    assert [each.sender for each in ChannelSender.objects.filter(workspace=free.workspace)] == ["c"]
    assert lane.ok(free, "message_status", message_id=2)["handed"][0]["instance_id"] == "b"


def test_cursors_of_the_long_gone_go_once_all_they_tell_of_has_expired(
    free: Caller, surface: Any, clock: Clock
) -> None:
    lane: Surface = surface("lane")
    for name in ("gone", "there"):
        lane.ok(free, "register", instance_id=name)
    seed(free, ["x"], sender="gone")
    last = seed(free, ["y"], sender="there")[-1]
    for name in ("gone", "there"):
        reading.ack_inbox(principal_of(free), instance_id=name, channel="general", up_to=last)
    clock.forward(days=29)
    lane.ok(free, "check_messages", instance_id="there", channel="elsewhere")
    assert "cursors" not in prune(free), "both were there within the month"
    clock.forward(days=2)
    seed(free, ["news"], sender="there")
    assert prune(free)["cursors"] == 1
    left = Cursor.objects.filter(workspace=free.workspace).values_list("instance__name", flat=True)
    assert set(left) == {"there"}
    Instance.objects.filter(workspace=free.workspace, name="there").update(left_at=clock.now())
    assert ids(lane.ok(free, "inbox", instance_id="gone")) == [last + 1], "it misses nothing"


def test_a_cursor_that_tells_of_something_unexpired_stays(alice: Caller, surface: Any, clock: Clock) -> None:
    lane: Surface = surface("lane")
    lane.ok(alice, "register", instance_id="gone")
    number = seed(alice, ["x"], sender="a")[0]
    reading.ack_inbox(principal_of(alice), instance_id="gone", channel="general", up_to=number)
    clock.forward(days=60)
    assert "cursors" not in prune(alice)
    assert lane.ok(alice, "inbox", instance_id="gone")["messages"] == []


def test_shared_data_goes_by_name_and_gives_its_bytes_back(free: Caller, clock: Clock) -> None:
    principal = principal_of(free)
    shared.share(principal, key="reports/old", content="x" * 100, sender="a")
    clock.forward(days=4)
    shared.share(principal, key="young", content="y" * 10, sender="a")
    clock.forward(days=4)
    assert prune(free)["shared_data"] == 1
    assert [each.key for each in SharedItem.objects.filter(workspace=free.workspace)] == ["young"]
    assert Counters.objects.get(workspace=free.workspace).data_bytes == 10
    assert Pruned.objects.get(workspace=free.workspace, what="shared_data").names == ["reports/old"]


def test_who_listens_to_shared_data_hears_that_it_went(free: Caller, clock: Clock) -> None:
    shared.share(principal_of(free), key="report", content="x", sender="a")
    clock.forward(days=8)
    heard: list[Any] = []
    end = hub.subscribe(wakeups.DATA, heard.append)
    try:
        prune(free)
        told = {"workspace": free.workspace.pk, "key": "report"}
        wait_until(lambda: told in heard, 10, lambda: f"heard {heard}")
    finally:
        end()


def test_shared_data_that_makes_room_is_recorded_too(free: Caller, clock: Clock) -> None:
    shared.share(principal_of(free), key="old", content="x" * 900_000, sender="a")
    clock.forward(days=8)
    shared.share(principal_of(free), key="new", content="y" * 900_000, sender="a")
    assert Pruned.objects.get(workspace=free.workspace, what="shared_data").names == ["old"]
    assert Counters.objects.get(workspace=free.workspace).data_bytes == 900_000


def test_many_large_items_go_few_at_a_time(free: Caller, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "ITEMS_TOGETHER", 3)
    monkeypatch.setattr(pruning, "ITEM_BYTES_TOGETHER", 250)
    for number in range(8):
        shared.share(principal_of(free), key=f"k{number}", content="x" * 100, sender="a")
    shared.share(principal_of(free), key="large", content="x" * 1_000, sender="a")
    clock.forward(days=8)
    assert prune(free)["shared_data"] == 9
    assert Counters.objects.get(workspace=free.workspace).data_bytes == 0


def test_old_statistics_and_keys_that_ended_long_ago_go_and_the_audit_log_stays(alice: Caller, clock: Clock) -> None:
    seed(alice, ["x"])
    key, _ = services.create_key(alice.workspace, "laptop")
    services.revoke_key(key)
    clock.forward(days=89)
    assert "keys" not in prune(alice)
    clock.forward(days=2)
    assert prune(alice)["keys"] == 1
    assert not ApiKey.objects.filter(pk=key.pk).exists()
    assert AuditEvent.objects.filter(workspace=alice.workspace, action="key.revoked").exists()
    assert UsageDay.objects.filter(workspace=alice.workspace).exists()
    clock.forward(days=aging.USAGE_KEPT.days)
    assert prune(alice)["usage_days"] == 1


def test_claims_go_when_their_lease_is_over(alice: Caller, surface: Any, clock: Clock) -> None:
    lane: Surface = surface("lane")
    number = lane.ok(alice, "send_message", sender="a", content="x", message_type="request")["id"]
    lane.ok(alice, "claim_message", message_id=number, instance_id="b", lease_seconds=60)
    assert prune(alice) == {}
    clock.forward(minutes=2)
    assert prune(alice) == {"claims": 1}
    assert not Claim.objects.filter(workspace=alice.workspace).exists()


def test_idempotency_keys_are_forgotten_after_a_day(alice: Caller, surface: Any, clock: Clock) -> None:
    lane: Surface = surface("lane")
    lane.ok(alice, "send_message", sender="a", content="x", idempotency_key="k")
    mine = IdempotencyKey.objects.filter(workspace=alice.workspace)
    clock.forward(hours=23)
    pruners.everywhere()
    assert mine.count() == 1
    clock.forward(hours=2)
    assert pruners.preview_everywhere()["idempotency_keys"] >= 1
    pruners.everywhere()
    assert mine.count() == 0


def test_waits_of_a_dead_process_go_and_live_ones_stay(alice: Caller, surface: Any) -> None:
    surface("lane").ok(alice, "register", instance_id="a")
    now = product_clock.now()
    for token, seen_at in (("live", now), ("dead", now - timedelta(minutes=5))):
        wait(alice, token, Wait.Kind.BLOCKING, until=now + timedelta(minutes=10), seen_at=seen_at)
    pruners.everywhere()
    left = Wait.objects.filter(workspace=alice.workspace).values_list("token", flat=True)
    assert list(left) == [f"live-{alice.workspace.pk}"]


def test_tasks_go_an_hour_after_their_end_and_not_before(alice: Caller, surface: Any, clock: Clock) -> None:
    surface("lane").ok(alice, "register", instance_id="a")
    now = product_clock.now()
    wait(alice, "answered", Wait.Kind.TASK, until=now + timedelta(hours=24), ended_at=now)
    wait(alice, "unasked", Wait.Kind.TASK, until=now)
    wait(alice, "alive", Wait.Kind.TASK, until=now + timedelta(days=1))
    mine = Wait.objects.filter(workspace=alice.workspace)
    clock.forward(minutes=59)
    pruners.everywhere()
    assert mine.count() == 3
    clock.forward(minutes=2)
    pruners.everywhere()
    assert [each.token for each in mine] == [f"alive-{alice.workspace.pk}"]


def wait(caller: Caller, token: str, kind: str, **fields: Any) -> None:
    instance = Instance.objects.get(workspace=caller.workspace)
    own = {"workspace": caller.workspace, "instance": instance, "channel_name": "general", "kind": kind}
    Wait.objects.create(token=f"{token}-{caller.workspace.pk}", **own, **fields)
