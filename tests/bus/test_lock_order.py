"""What holds an instance or a workspace for a moment lets answers be stored: their rows refer to both, and who waits
for each other's rows is a deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from accounts import principals, services
from accounts.models import Workspace
from bus import access, beats, hot, mutual, parties, storing
from bus.models import Instance, Wait
from bus.services import endings, messages, releases, tasks
from crosswire.lib import clock
from tests.bus.waiters import SOON, WAIT, answered, begin, until
from tests.mcp.tasks import Asker, ended
from tests.support.cast import CAST, Caller
from tests.support.surfaces import Surface, SurfaceName

ON_POSTGRES = pytest.mark.home("postgres")
"""SQLite has one writer at a time."""


@pytest.fixture
def call(surface: Callable[[SurfaceName], Surface]) -> Surface:
    return surface("lane")


def is_answered(call: Surface, caller: Caller) -> bool:
    """Return whether an answer with a message is given, and stored, without waiting for anybody's lock."""
    call.ok(caller, "send_message", sender="bob", content="hello")
    reading: Future[Any] = call.start(caller, "check_messages", instance_id="ann")
    return bool(wait_for([reading], SOON / 4).done)


@ON_POSTGRES
def test_an_answer_is_stored_while_a_task_of_its_instance_is_prolonged(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    principal = principals.authenticate(alice.key)
    with transaction.atomic():
        access.lock_instance(principal, access.instances(principal).get(name="ann").pk)
        assert is_answered(call, alice)


@ON_POSTGRES
def test_an_answer_is_stored_while_a_key_is_made(call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    call.ok(alice, "register", instance_id="ann")
    seen = []
    monkeypatch.setattr(services, "_require_unbound", lambda live, name: seen.append(is_answered(call, alice)))
    services.create_key(Workspace.objects.get(pk=alice.workspace.pk), "another")
    assert seen == [True]


@ON_POSTGRES
def test_a_wait_is_answered_while_it_is_released(call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = begin(call, alice, "check_messages", instance_id="ann", wait=15)
    row = Wait.objects.get(workspace=alice.workspace, instance__name="ann")
    assert row.instance is not None
    scene = parties.Scene(
        ids={"ann": row.instance.pk}, tokens={("ann", "general"): [row.token]}, last_seqs={"general": 0}
    )
    end = endings.end

    def meanwhile(*args: Any) -> int:
        call.ok(alice, "send_message", sender="bob", content="hello")
        assert answered(waiting)["messages"]
        return end(*args)

    monkeypatch.setattr(endings, "end", meanwhile)
    release = mutual.Release("ann", frozenset({"general"}), frozenset({"bob"}))
    assert not releases._release(alice.workspace.pk, scene, release, clock.now())


@ON_POSTGRES
def test_the_beat_queues_for_no_wait_that_is_ended_just_now(alice: Caller) -> None:
    until = clock.now() + timedelta(minutes=1)
    fields = {"workspace": alice.workspace, "kind": "blocking", "process": alice.key[:40], "until": until}
    ending, other = [Wait.objects.create(token=f"{alice.key[:30]}{number}", **fields) for number in range(2)]
    with transaction.atomic(), ThreadPoolExecutor(1, CAST) as beating:
        endings.end(Wait.objects.filter(pk=ending.pk), "revoked")
        beats = beating.submit(_beat, alice.key[:40])
        assert [each.token for each in beats.result(SOON / 4)] == [other.token]
    assert {each.token for each in _beat(alice.key[:40])} == {ending.token, other.token}


def _beat(process: str) -> list[beats.Beat]:
    try:
        return beats.beat(process, clock.now())
    finally:
        connection.close()


def test_an_answer_locks_its_wait_before_its_cursor(
    call: Surface, alice: Caller, statements: Callable[..., Any]
) -> None:
    waiting = begin(call, alice, "check_messages", instance_id="ann", wait=15)
    with statements() as ran:
        call.ok(alice, "send_message", sender="bob", content="hello")
        answered(waiting)
    order = [each for sql in ran for each in ("DELETE FROM bus_wait", "INSERT INTO bus_cursor") if each in str(sql)]
    assert order == ["DELETE FROM bus_wait", "INSERT INTO bus_cursor"]


def test_a_task_that_ends_while_it_is_prolonged_stays_ended(
    lane_url: str, call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    call.ok(alice, "register", instance_id="ann")
    ann = Asker(lane_url, alice)
    task = ann.begin(WAIT, instance_id="ann")
    asking: list[Future[dict[str, Any]]] = []
    open_task, unfinished = tasks._open, tasks._unfinished

    def crossed(*args: Any) -> Any:
        call.ok(alice, "send_message", sender="bob", content="hello")  # after the call has looked
        return open_task(*args)

    def asked(*args: Any) -> Wait | None:
        found = unfinished(*args)
        asking.append(ann.ask(task))
        wait_for(asking, 1.5)
        return found

    monkeypatch.setattr(tasks, "_open", crossed)
    monkeypatch.setattr(tasks, "_unfinished", asked)
    ann.call(WAIT, instance_id="ann")
    assert ended(asking[0].result(SOON)) == "message"
    assert Wait.objects.get(token=task).ended == "message"


def test_a_batch_of_sends_moves_cursors_in_the_order_in_which_answers_for_many_lock_them(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["ann", "bob"]
    for name in names:
        call.ok(alice, "register", instance_id=name)
    number = call.ok(alice, "send_message", sender="cid", content="hello")["id"]
    for name in names:
        call.ok(alice, "check_messages", instance_id=name)
    moved: list[int] = []

    def note(workspace_id: int, instance_id: int, place: Any) -> None:
        moved.append(instance_id)
        hot.move_cursor(workspace_id, instance_id, place)

    monkeypatch.setattr(storing, "move_cursor", note)
    principal = principals.authenticate(alice.key)
    same = {"channel": "general", "content": "x", "in_reply_to": number}
    messages.send_many([messages.draft(principal, sender=name, **same) for name in reversed(names)])
    own = Instance.objects.filter(workspace=alice.workspace, name__in=names).order_by("name")
    assert moved == [instance.pk for instance in own]


@ON_POSTGRES
def test_answers_for_many_lock_their_waits_in_the_order_of_whoever_ends_several(alice: Caller) -> None:
    """Else one that ends both (older first) and a batch that has them the other way round would wait for each other."""
    until_ = clock.now() + timedelta(minutes=1)
    tokens = [f"{alice.key[:30]}{number}" for number in range(2)]
    for token in tokens:
        Wait.objects.create(workspace=alice.workspace, token=token, kind="blocking", process="p", until=until_)
    begun = threading.Event()

    def forget() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET application_name = 'forgetting'")
            begun.set()
            hot.together(beats.forgotten(alice.workspace.pk, tokens[::-1]))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET application_name")
            connection.close()

    with ThreadPoolExecutor(1, CAST) as pool:
        with transaction.atomic():
            older, newer = (Wait.objects.filter(token=token) for token in tokens)
            assert older.select_for_update().exists()
            forgetting = pool.submit(forget)
            assert begun.wait(SOON)
            until(_is_blocked, "nothing waits for the older one")
            assert newer.select_for_update(nowait=True).exists()
        forgetting.result(SOON)
    assert not Wait.objects.filter(token__in=tokens).exists()


def _is_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forgetting' AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])
