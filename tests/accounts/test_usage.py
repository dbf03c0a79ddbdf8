"""What a workspace has sent, by day and by instance."""

from __future__ import annotations

from datetime import timedelta

from accounts import usage
from accounts.models import UsageDay
from tests.conftest import Clock
from tests.support.cast import Caller


def test_every_day_is_there_silent_ones_too_and_what_is_older_is_not(
    alice: Caller, mallory: Caller, clock: Clock
) -> None:
    today = clock.now().date()
    for caller, back, name, count in (
        (alice, 0, "ann", 3),
        (alice, 0, "bo", 4),
        (alice, 29, "ann", 5),
        (alice, 30, "ann", 100),
        (mallory, 0, "ann", 1_000),
    ):
        UsageDay.objects.create(
            workspace=caller.workspace, day=today - timedelta(days=back), instance=name, messages=count
        )
    found = usage.activity(alice.workspace.pk)
    assert len(found.days) == 30
    assert found.days[0] == (today - timedelta(days=29), 5)
    assert found.days[-1] == (today, 7)
    assert {messages for _, messages in found.days[1:-1]} == {0}
    assert found.senders == [("ann", 8), ("bo", 4)]
    assert (found.total, found.others) == (12, 0)


def test_senders_beyond_the_first_are_counted_together(alice: Caller, clock: Clock) -> None:
    for index in range(12):
        UsageDay.objects.create(
            workspace=alice.workspace, day=clock.now().date(), instance=f"i{index:02}", messages=index + 1
        )
    found = usage.activity(alice.workspace.pk, senders=8)
    assert [name for name, _ in found.senders] == [f"i{index:02}" for index in range(11, 3, -1)]
    assert found.others == 1 + 2 + 3 + 4
