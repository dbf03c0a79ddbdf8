"""Which waits are under way: said once for SQL by hand, and once for the tenant filter."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest

from bus import access, hot, presence
from bus.models import Wait
from crosswire.lib import clock
from tests.support.cast import Caller
from tests.support.messages import principal_of


@pytest.mark.parametrize("kind", Wait.Kind.values)
def test_sql_by_hand_and_the_tenant_filter_take_the_same_waits_for_open(alice: Caller, kind: str) -> None:
    now = clock.now()
    ages = [seconds + beside for seconds in (0, 30, 90) for beside in (-10, 10)]
    Wait.objects.bulk_create(
        Wait(
            workspace=alice.workspace,
            token=secrets.token_hex(8),
            kind=kind,
            credential="x",
            seen_at=now - timedelta(seconds=age),
            until=now + timedelta(seconds=left),
            ended_at=ended_at,
        )
        for age in ages
        for left in (-60, 60)
        for ended_at in (None, now)
    )
    found = hot.fetch(
        f"SELECT w.token FROM bus_wait w WHERE w.workspace_id = %s AND {presence.OPEN_WAIT.format('w')}",  # noqa: S608 - a constant
        [alice.workspace.pk, *presence.open_wait_times(now)],
    )
    is_open = {token for (token,) in found}
    assert is_open == set(access.open_waits(principal_of(alice)).values_list("token", flat=True))
    assert len(is_open) == (5 if kind == Wait.Kind.TASK else 3)
