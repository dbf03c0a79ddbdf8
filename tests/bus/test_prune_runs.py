"""A round of pruning through all workspaces: what is recorded, what goes wrong, who is cut off; the command."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction

from accounts import exports, pruned
from accounts.models import Export, Pruned, PruneRun, Workspace
from bus import pruners, pruning
from bus.hot import execute, fetch
from bus.models import Message, SharedItem
from bus.services import shared
from bus.tasks import prune
from crosswire import ticker
from crosswire.celery import app
from crosswire.lib import clock as product_clock
from crosswire.lib import jobs as product_jobs
from tests.accounts.filling import fill
from tests.conftest import Clock
from tests.support.aged import age
from tests.support.cast import Caller, make_workspace
from tests.support.homes import Home
from tests.support.jobs import Jobs
from tests.support.messages import principal_of, seed
from tests.support.processes import wait_until
from tests.support.races import at_once
from tests.support.servers import create_workspace, manage, move_clock

START = product_jobs.start
"""The product's own; see the fixture `jobs`."""


@pytest.fixture
def old() -> Caller:
    """A workspace with three messages and an item of shared data that have expired."""
    caller = make_workspace("free")
    seed(caller, ["x"] * 3)
    shared.share(principal_of(caller), key="report", content="x", sender="a")
    age(caller, days=8)
    return caller


def left(caller: Caller) -> int:
    return Message.objects.filter(workspace=caller.workspace).count()


# --- a round ----------------------------------------------------------------------------------------------------


def test_the_scheduled_task_goes_through_all_workspaces_and_says_how_much_went(old: Caller) -> None:
    other = make_workspace("free")
    seed(other, ["x"])
    age(other, days=8)
    gone = prune()
    assert (left(old), left(other)) == (0, 0)
    assert gone["messages"] >= 4
    assert gone["shared_data"] >= 1
    health = pruned.health()
    assert (health.state, health.is_late) == ("complete", False)
    assert health.last is not None
    assert health.last.counts == gone


def test_one_workspace_that_fails_holds_up_no_other(old: Caller) -> None:
    """By a plan that a release after this one may have had."""
    broken, last = make_workspace("free"), make_workspace("free")
    seed(last, ["x"])
    age(last, days=8)
    Workspace.objects.filter(pk=broken.workspace.pk).update(plan="platinum")
    try:
        run = pruners.run()
    finally:
        Workspace.objects.filter(pk=broken.workspace.pk).update(plan="free")
    assert run.failed == {broken.workspace.slug: "KeyError"}
    assert (left(old), left(last)) == (0, 0)
    assert pruned.health().state == "failed"
    assert pruners.run().failed == {}
    assert pruned.health().state == "complete"


@pytest.mark.home("postgres")
def test_a_machine_whose_clock_is_not_the_databases_deletes_nothing(
    old: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any two clocks are a little apart."""
    monkeypatch.setattr(pruning, "MARGIN", timedelta(0))
    run = pruners.run()
    assert (run.failed, run.is_complete, run.counts) == ({"": "ClockApart"}, False, {})
    assert pruned.health().state == "failed"
    with pytest.raises(CommandError, match="clock"):
        call_command("prune", workspace=old.workspace.slug)
    assert left(old) == 3


def test_one_kind_that_fails_holds_up_no_other_of_its_workspace(old: Caller) -> None:
    """By a foreign key that another release may have left."""
    execute("CREATE TABLE leftover (message bigint REFERENCES bus_message (id))", [])
    try:
        execute("INSERT INTO leftover SELECT id FROM bus_message WHERE workspace_id = %s", [old.workspace.pk])
        assert pruners.run().failed == {old.workspace.slug: "IntegrityError"}
    finally:
        execute("DROP TABLE leftover", [])
    assert left(old) == 3
    assert not SharedItem.objects.filter(workspace=old.workspace).exists()
    assert pruners.run().failed == {}
    assert left(old) == 0


def test_one_thing_that_fails_for_all_workspaces_holds_up_nothing_after_it(old: Caller) -> None:
    """By a file that cannot be deleted."""
    export = exports.ask(old.workspace, is_queued=False)
    exports.make(export.pk)
    Export.objects.filter(pk=export.pk).update(expires_at=product_clock.now())
    export.refresh_from_db()
    obstacle = exports.folder() / export.path
    obstacle.unlink()
    obstacle.mkdir()
    Message.objects.filter(workspace=old.workspace).update(created_at=product_clock.now(), words=None)
    try:
        assert pruners.run().failed == {"": "IsADirectoryError"}
    finally:
        obstacle.rmdir()
    assert not Message.objects.filter(workspace=old.workspace, words=None).exists()
    assert pruners.run().failed == {}


def test_a_workspace_in_which_nothing_has_expired_costs_few_statements(
    alice: Caller, statements: Callable[..., Any]
) -> None:
    seed(alice, ["x"])
    with statements(threading.current_thread().name) as ran:
        assert pruning.prune(alice.workspace.pk) == ({}, True)
    assert len(ran) == 4, ran


def test_workspaces_in_which_nothing_has_expired_are_passed_over_together(
    old: Caller, statements: Callable[..., Any]
) -> None:
    """One statement for all that keep their history equally long."""
    others = [make_workspace(plan) for plan in ("free", "free", "pro", "unlimited")]
    for each in others:
        seed(each, ["x"])
    rows = list(Workspace.objects.filter(pk__in=[each.workspace.pk for each in (old, *others)]))
    with statements(threading.current_thread().name) as ran:
        assert pruning.due(rows) == {old.workspace.pk}
    assert len(ran) == 3, ran


@pytest.mark.home("postgres")
def test_to_pass_over_workspaces_no_table_is_read_whole() -> None:
    """Though most messages are old: those of another workspace, which keeps them."""
    fill(make_workspace("unlimited").workspace, 20_000)
    Message.objects.update(created_at=product_clock.now() - timedelta(days=100))
    young = [make_workspace("free").workspace.pk for _ in range(3)]
    execute("ANALYZE bus_message", [])
    now = product_clock.now()
    assert "message_by_time" in pruning.with_old(young, now, now - timedelta(days=7)).explain()


def test_where_it_cannot_be_said_what_is_due_each_has_its_turn(old: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(workspaces: object) -> set[int]:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(pruning, "due", refuse)
    assert pruners.run().failed == {}
    assert left(old) == 0


@pytest.mark.home("postgres")
def test_a_connection_that_breaks_costs_one_workspace_its_turn(old: Caller) -> None:
    last = make_workspace("free")
    seed(last, ["x"])
    age(last, days=8)

    def hang_up(workspace: Workspace, gone: Counter[str]) -> None:
        if workspace.pk == old.workspace.pk:
            fetch("SELECT pg_terminate_backend(pg_backend_pid())", [])

    assert pruners.run(told=hang_up).failed == {old.workspace.slug: "OperationalError"}
    assert (left(old), left(last)) == (0, 0)


def test_a_database_that_is_away_ends_the_run_and_the_next_one_goes_on(
    old: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `attempt` finds it when it cannot even write down what went wrong."""

    def refuse(*args: Any, **more: Any) -> None:
        raise OperationalError("the connection is closed")

    with monkeypatch.context() as away:
        away.setattr(pruning, "prune", refuse)
        away.setattr(pruned, "tell", refuse)
        with pytest.raises(OperationalError):
            pruners.run()
    assert pruned.health().state == "running", "for all that anybody knows"
    assert left(old) == 3
    assert pruners.run().is_complete
    assert left(old) == 0


def test_a_run_whose_time_is_over_is_gone_on_with_where_it_ended() -> None:
    callers = [make_workspace("free") for _ in range(3)]
    pruners.run()
    for each in callers:
        seed(each, ["x"])
        age(each, days=8)
    PruneRun.objects.create(reached=callers[1].workspace.pk, ended_at=product_clock.now())
    order: list[int] = []
    pruners.run(told=lambda workspace, gone: order.append(workspace.pk))
    own = [each.workspace.pk for each in callers]
    assert [pk for pk in order if pk in own] == [own[2], own[0], own[1]]
    seed(callers[0], ["x"])
    age(callers[0], days=8)
    unfinished = pruners.run(seconds=0.0)
    assert not unfinished.is_complete
    assert pruned.health().state == "partial"
    assert left(callers[0]) == 1
    assert pruners.run().is_complete
    assert left(callers[0]) == 0


def test_one_that_is_larger_than_its_share_gets_another_in_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = make_workspace("free"), make_workspace("free")
    monkeypatch.setattr(pruning, "TOGETHER_MOST", 20)
    monkeypatch.setattr(pruners, "SHARE", 1e9)
    fill(large.workspace, 260)
    seed(small, ["x"])
    for each in (large, small):
        age(each, days=8)
    own = (large.workspace.pk, small.workspace.pk)
    turns: list[int] = []
    assert pruners.run(60.0, told=lambda workspace, gone: turns.append(workspace.pk)).is_complete
    assert [pk for pk in turns if pk in own][:3] == [large.workspace.pk, small.workspace.pk, large.workspace.pk]
    assert (left(large), left(small)) == (0, 0)


def test_a_run_without_a_sign_of_life_is_told_as_cut_off(clock: Clock) -> None:
    pruned.begin()
    assert pruned.health().state == "running"
    clock.forward(minutes=11)
    assert pruned.health().state == "cut off"
    clock.forward(hours=3)
    assert pruned.health().is_late


def test_two_rounds_at_once_count_nothing_twice(old: Caller) -> None:
    found: list[int] = []
    for _ in range(2):
        seed(old, ["x"] * 40)
        age(old, days=8)
        assert at_once(*[lambda: found.append(pruners.run().counts.get("messages", 0))] * 2) == ["", ""]
    assert left(old) == 0
    assert Pruned.objects.get(workspace=old.workspace, what="messages").count == 83


def test_a_workspace_that_is_being_erased_is_left_to_that(old: Caller) -> None:
    Workspace.objects.filter(pk=old.workspace.pk).update(closing_at=product_clock.now())
    pruners.run()
    assert left(old) == 3


def test_the_records_go_themselves_after_a_season(old: Caller, clock: Clock) -> None:
    pruners.run()
    mine = Pruned.objects.filter(workspace=old.workspace)
    runs = PruneRun.objects.filter(started_at__lt=product_clock.now())
    clock.forward(days=89)
    pruners.everywhere()
    assert mine.exists()
    clock.forward(days=2)
    pruners.everywhere()
    assert not mine.exists()
    assert not runs.exists()


def test_old_records_of_all_workspaces_are_found_along_an_index() -> None:
    with transaction.atomic():
        if connection.vendor == "postgresql":  # a table of a few rows is read whole, whatever there is
            execute("SET LOCAL enable_seqscan = off", [])
        assert "pruned_age" in pruned.old_days().explain()


def test_the_schedule_names_tasks_that_exist() -> None:
    app.loader.import_default_modules()
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= set(app.tasks)
    assert app.conf.beat_schedule["prune"] == {
        "task": "bus.tasks.prune",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    }


def test_without_redis_the_ticker_has_it_done_by_the_thread_of_jobs(
    old: Caller, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.conf.settings.CELERY_TASK_ALWAYS_EAGER", True)
    monkeypatch.setattr(product_jobs, "start", START)
    monkeypatch.setattr(ticker, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(ticker, "TICK_SECONDS", 0.01)
    ended = threading.Event()
    schedule = {"prune": app.conf.beat_schedule["prune"]}
    thread = threading.Thread(target=ticker.keep, args=(schedule, ended))
    thread.start()
    try:
        wait_until(lambda: left(old) == 0, 60, lambda: f"{left(old)} messages are left")
    finally:
        ended.set()
        thread.join(30)


# --- the command ------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_go_and_deletes_nothing(make_home: Callable[[], Home]) -> None:
    home = make_home()
    create_workspace(home, "acme", "free")
    create_workspace(home, "other", "free")
    manage(home, "shell", "-c", FILL)
    move_clock(home, timedelta(days=8))
    for chosen in ((), ("--workspace", "acme")):
        would = manage(home, "prune", "--dry-run", *chosen)
        assert would == manage(home, "prune", "--dry-run", *chosen), "something went"
        assert re.search(r"^\w+: messages: 30, shared data: 1, hand outs: 1, channel senders: 2$", would, re.MULTILINE)
        assert ("everywhere" in would) == (not chosen)
        assert ("messages: 3," in would) == (not chosen), "the other one's"
    assert "idempotency keys: 1" in would_all(home)
    one = manage(home, "prune", "--workspace", "acme")
    assert one.splitlines() == [line for line in would.splitlines() if line.startswith(one[:16])]
    assert manage(home, "prune", "--workspace", "acme").endswith(": nothing\n")
    expected = would_all(home).splitlines()[1:]
    assert manage(home, "prune").splitlines() == expected
    assert manage(home, "prune") == "everywhere: nothing\n"


def would_all(home: Home) -> str:
    return manage(home, "prune", "--dry-run")


FILL = """
from accounts.models import Workspace
from accounts.principals import authenticate
from accounts.services import create_key
from bus.services import messages, reading, shared
for name, many in (("acme", 29), ("other", 2)):
    p = authenticate(create_key(Workspace.objects.get(name=name), "k")[1])
    for i in range(many):
        messages.send(p, channel="general", sender="a", content="x")
    messages.send(p, channel="plans", sender="a", content="x", idempotency_key="k" if name == "acme" else None)
    reading.check(p, channel="general", instance_id="b")
    if name == "acme":
        shared.share(p, key="k", content="x", sender="a")
"""


def test_the_command_fails_where_a_workspace_does_and_for_a_name_of_nobody(old: Caller) -> None:
    Workspace.objects.filter(pk=old.workspace.pk).update(plan="platinum")
    try:
        with pytest.raises(CommandError, match=old.workspace.slug):
            call_command("prune")
    finally:
        Workspace.objects.filter(pk=old.workspace.pk).update(plan="free")
    with pytest.raises(CommandError, match="no workspace"):
        call_command("prune", workspace="nobody's")
