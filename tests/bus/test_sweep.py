"""`manage.py sweep`, and the scheduled task that does the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management import call_command

from bus.models import IdempotencyKey, Instance, Wait
from bus.tasks import sweep
from crosswire.celery import app
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.surfaces import Surface


def test_idempotency_keys_are_forgotten_after_a_day(alice: Caller, surface: Any, clock: Clock) -> None:
    lane: Surface = surface("lane")
    lane.ok(alice, "send_message", sender="a", content="x", idempotency_key="k")
    mine = IdempotencyKey.objects.filter(workspace=alice.workspace)
    clock.forward(hours=23)
    sweep()
    assert mine.count() == 1
    clock.forward(hours=2)
    sweep()
    assert mine.count() == 0


def test_waits_of_a_dead_process_go_and_live_ones_stay(alice: Caller, surface: Any) -> None:
    surface("lane").ok(alice, "register", instance_id="a")
    instance = Instance.objects.get(workspace=alice.workspace)
    now = product_clock.now()
    for token, seen_at in (("live", now), ("dead", now - timedelta(minutes=5))):
        Wait.objects.create(
            workspace=alice.workspace,
            token=f"{token}-{alice.workspace.pk}",
            kind=Wait.Kind.BLOCKING,
            instance=instance,
            channel_name="general",
            until=now + timedelta(minutes=10),
            seen_at=seen_at,
        )
    call_command("sweep", stdout=None)
    left = Wait.objects.filter(workspace=alice.workspace).values_list("token", flat=True)
    assert list(left) == [f"live-{alice.workspace.pk}"]


def test_the_schedule_names_tasks_that_exist() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)
