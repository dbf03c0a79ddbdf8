"""Deleting a workspace: gone at once for everybody, erased in steps, nothing left and nobody else touched."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.apps import apps
from django.core import mail
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from accounts import closing, exports, principals
from accounts.models import AuditEvent, Invite, Member, User, Workspace
from accounts.services import suspend
from accounts.signals import workspace_closing
from bus import erasing
from bus.models import Counters, Message
from bus.services import messages, shared
from crosswire.lib import clock as product_clock
from crosswire.lib.errors import CrossWireError
from tests.accounts.filling import fill
from tests.conftest import Clock
from tests.isolation.world import Secrets, make_alice, rows_of
from tests.support.cast import Caller, make_workspace
from tests.support.jobs import Jobs
from tests.support.messages import seed
from tests.support.people import make_person, owner_of
from tests.support.surfaces import Surface

LANE = pytest.mark.parametrize("call", ["lane"], indirect=True)


def left_of(workspace_id: int) -> dict[str, int]:
    """Return how many rows of a workspace there are, by table; those with none are left out."""
    found = {"Workspace": Workspace.objects.filter(pk=workspace_id).count()}
    for model in apps.get_models():
        if any(column.name == "workspace" for column in model._meta.concrete_fields):
            found[model.__name__] = model._base_manager.filter(workspace=workspace_id).count()
    return {name: count for name, count in found.items() if count}


def test_everything_goes_and_nothing_of_another_workspace(jobs: Jobs) -> None:
    hers, theirs = Secrets.new(), Secrets.new()
    alice, bob = make_alice(hers), make_alice(theirs)
    export = exports.ask(alice.workspace, is_queued=False)
    exports.make(export.pk)
    export.refresh_from_db()
    before, his = rows_of(alice), rows_of(bob)
    assert all(rows or table == "Invite" for table, rows in before.items()), "a table is not covered"
    closing.close(alice.workspace)
    jobs.do()
    assert left_of(alice.workspace.pk) == {}
    assert not (exports.folder() / export.path).exists()
    assert rows_of(bob) == his
    assert hers.text not in "".join(str(row) for row in AuditEvent.objects.filter(workspace=None).values()).replace(
        f"{hers.text}slug", ""
    )


@LANE
def test_it_is_gone_for_everybody_before_anything_is_erased(call: Surface, alice: Caller, jobs: Jobs) -> None:
    ada, vic = owner_of(alice), make_person(alice.workspace, "viewer", "Vic")
    seed(alice, ["x"])
    client = ada.client()
    answer = client.post(f"{ada.home}settings/delete", {"typed": alice.workspace.name})
    assert (answer.status_code, answer["Location"]) == (302, "/w/")
    assert jobs.names() == ["erase_workspace"]
    for person in (ada, vic):
        assert person.client().get(ada.home).status_code == 404
    assert "no workspace" in client.get("/w/", follow=True).content.decode()
    assert call.refused(alice, "whoami").code == "unauthorized"
    assert call.refused(alice, "send_message", sender="a", content="x").code == "unauthorized"
    held = principals.of_member(vic.member)
    assert principals.refusals([held])[0] is not None, "sockets that are open go on"


def test_a_send_under_an_old_look_up_is_refused(alice: Caller, jobs: Jobs) -> None:
    seed(alice, ["x"])
    held = principals.authenticate(alice.key).calling("tests/1")
    closing.close(alice.workspace)
    with pytest.raises(CrossWireError, match="deleted"):
        messages.send(held, channel="general", sender="a", content="late")
    jobs.do()
    with pytest.raises(CrossWireError, match="no longer exists"):
        messages.send(held, channel="general", sender="a", content="later")


def test_only_the_owner_may_and_only_with_the_name(alice: Caller, jobs: Jobs) -> None:
    ada = owner_of(alice)
    for role in ("admin", "member", "viewer"):
        other = make_person(alice.workspace, role)
        assert other.client().get(f"{ada.home}settings/delete").status_code == 403
        assert other.client().post(f"{ada.home}settings/delete", {"typed": alice.workspace.name}).status_code == 403
    stranger = make_person()
    assert stranger.client().post(f"{ada.home}settings/delete", {"typed": alice.workspace.name}).status_code == 404
    for typed in ("", "nonsense", f"{alice.workspace.name}x", "\x00", "x" * 5_000):
        assert ada.client().post(f"{ada.home}settings/delete", {"typed": typed}).status_code == 400
    assert ada.client().post(f"{ada.home}settings/delete").status_code == 400
    assert jobs.names() == []
    assert Workspace.objects.get(pk=alice.workspace.pk).closing_at is None


def test_the_page_says_what_goes(alice: Caller) -> None:
    ada = owner_of(alice)
    fill(alice.workspace, 1_234)
    page = ada.client().get(f"{ada.home}settings/delete").content.decode()
    assert "1,234" in page
    assert "export everything" in page


def test_a_suspended_workspace_can_be_deleted(alice: Caller, jobs: Jobs) -> None:
    ada = owner_of(alice)
    suspend(alice.workspace, "not paid")
    answer = ada.client().post(f"{ada.home}settings/delete", {"typed": alice.workspace.name})
    assert answer.status_code == 302
    jobs.do()
    assert left_of(alice.workspace.pk) == {}


def test_billing_hears_first_members_get_a_mail_and_one_event_stays(alice: Caller, jobs: Jobs) -> None:
    ada, vic = owner_of(alice), make_person(alice.workspace, "viewer", "Vic")
    heard = []

    def hear(workspace: Workspace, **kwargs: Any) -> None:
        heard.append((workspace.pk, workspace.closing_at))

    workspace_closing.connect(hear)
    try:
        closing.close(alice.workspace, actor=ada.user.email)
        closing.close(alice.workspace, actor=ada.user.email)
    finally:
        workspace_closing.disconnect(hear)
    assert heard == [(alice.workspace.pk, None)]
    jobs.do()
    for person in (ada, vic):
        (told,) = [each for each in mail.outbox if each.to == [person.user.email]]
        assert alice.workspace.name in told.subject
    (event,) = AuditEvent.objects.filter(action="workspace.deleted", target=alice.workspace.slug)
    assert (event.workspace_id, event.actor) == (None, ada.user.email)
    assert User.objects.filter(pk__in=[ada.user.pk, vic.user.pk]).count() == 2


def test_erasing_that_was_killed_goes_on_by_the_schedule(alice: Caller, clock: Clock, jobs: Jobs) -> None:
    make_person(alice.workspace)
    fill(alice.workspace, 3_500)
    closing.close(alice.workspace)
    jobs.forget()
    steps = 0

    def die() -> None:
        nonlocal steps
        steps += 1
        if steps == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erasing.erase(alice.workspace.pk, die, is_last=False)
    assert 0 < Message.objects.filter(workspace=alice.workspace).count() < 3_500
    assert closing.resume() == 0 or ("accounts.tasks.erase_workspace", (alice.workspace.pk,)) not in jobs.waiting
    clock.forward(minutes=3)
    closing.resume()
    jobs.do()
    assert left_of(alice.workspace.pk) == {}
    closing.erase(alice.workspace.pk)  # once more, as a queue may ask


def test_no_step_takes_more_than_its_share(alice: Caller) -> None:
    fill(alice.workspace, 5_500)
    closing.close(alice.workspace, is_queued=False)
    with CaptureQueriesContext(connection) as ran:
        closing.erase(alice.workspace.pk)
    deletions = [each["sql"] for each in ran if each["sql"].startswith('DELETE FROM "bus_message"')]
    assert 6 <= len(deletions) < 12, "six steps, and the last looks"
    assert len(ran) < 150


def test_sends_meanwhile_leave_nothing_behind(jobs: Jobs) -> None:
    alice = make_workspace("unlimited")
    fill(alice.workspace, 3_000)
    held = principals.authenticate(alice.key).calling("tests/1")
    over, refused, began = threading.Event(), [], threading.Barrier(4)

    def go_on(number: int) -> None:
        try:
            began.wait(10)
            while not over.is_set():
                try:
                    messages.send(held, sender=f"a{number}", content="x", channel=f"c{number}")
                    shared.share(held, key=f"k{number}", content="x", sender=f"a{number}")
                except CrossWireError as refusal:
                    refused.append(refusal.code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(go_on, number) for number in range(3)]
        began.wait(10)
        closing.close(alice.workspace)
        jobs.do()
        over.set()
        for each in done:
            each.result(30)
    assert left_of(alice.workspace.pk) == {}
    assert set(refused) <= {"suspended", "unauthorized", "unavailable"}
    assert refused


def test_the_command_says_what_would_go_and_erases_with_yes(alice: Caller) -> None:
    seed(alice, ["x"])
    out = io.StringIO()
    call_command("delete_workspace", alice.workspace.slug, stdout=out)
    assert "--yes" in out.getvalue()
    assert Message.objects.filter(workspace=alice.workspace).exists()
    call_command("delete_workspace", alice.workspace.slug, "--yes", stdout=out)
    assert left_of(alice.workspace.pk) == {}


def test_who_is_being_erased_with_the_workspace_invites_nobody(alice: Caller, jobs: Jobs) -> None:
    Invite.objects.create(
        workspace=alice.workspace,
        email="a@example.com",
        digest=f"d{alice.workspace.pk}",
        expires_at=product_clock.now(),
    )
    closing.close(alice.workspace)
    assert not Invite.objects.filter(workspace=alice.workspace).exists()
    assert not Member.objects.filter(workspace=alice.workspace).exists()
    assert Counters.objects.filter(workspace=alice.workspace).exists(), "until the end"
    assert jobs.names() == ["erase_workspace"]
