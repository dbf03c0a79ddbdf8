"""The settings page: what it shows, what it changes, and which mails a workspace sends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import audit, exports, notices, services
from accounts.models import AuditEvent, Export, Workspace
from accounts.notices import TOPICS
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.messages import change_plan
from tests.support.people import Person, make_person, owner_of

HOSTILE = "<script>alert(1)</script>{{ 7 }}\"'&"


def page(person: Person) -> str:
    answer = person.client().get(f"{person.home}settings")
    assert answer.status_code == 200
    return answer.content.decode()


def save(person: Person, name: str, *mails: str) -> int:
    return person.client().post(f"{person.home}settings", {"name": name, "mails": list(mails)}).status_code


def test_it_is_in_the_navigation_of_who_may_change_settings(alice: Caller) -> None:
    ada, vic = owner_of(alice), make_person(alice.workspace, "viewer")
    link = f'href="{ada.home}settings"'
    assert link in ada.client().get(ada.home).content.decode()
    assert link not in vic.client().get(vic.home).content.decode()


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_and_viewers_may_neither_see_nor_change(alice: Caller, role: str) -> None:
    other = make_person(alice.workspace, role)
    assert other.client().get(f"{other.home}settings").status_code == 403
    assert save(other, "taken over") == 403
    assert make_person().client().get(f"{other.home}settings").status_code == 404
    assert Workspace.objects.get(pk=alice.workspace.pk).name == alice.workspace.name


def test_only_the_owner_is_shown_how_to_delete(alice: Caller) -> None:
    ada, adam = owner_of(alice), make_person(alice.workspace, "admin", "Adam")
    assert f"{ada.home}settings/delete" in page(ada)
    assert f"{ada.home}settings/delete" not in page(adam)
    assert "Export everything" in page(adam)


def test_a_new_name_is_stored_recorded_and_shown_as_text(alice: Caller) -> None:
    ada = owner_of(alice)
    before = alice.workspace.name
    assert save(ada, HOSTILE, *TOPICS) == 302
    assert Workspace.objects.get(pk=alice.workspace.pk).name == HOSTILE
    shown = page(ada)
    assert "<script>alert" not in shown
    assert "{{ 7 }}" in shown
    event = AuditEvent.objects.get(workspace=alice.workspace, action="workspace.changed")
    assert (event.actor, event.details) == (ada.user.email, {"before": {"name": before}, "after": {"name": HOSTILE}})


@pytest.mark.parametrize("name", ["", " ", "x" * 121, "a\nb", "a\x00b", "\u202eevil"])
def test_a_bad_name_is_refused_in_words(alice: Caller, name: str) -> None:
    ada = owner_of(alice)
    assert save(ada, name) == 400
    assert Workspace.objects.get(pk=alice.workspace.pk).name == alice.workspace.name


def test_an_unknown_topic_is_refused(alice: Caller) -> None:
    assert save(owner_of(alice), "fine", "nonsense") == 400


def test_saving_without_a_change_records_nothing(alice: Caller) -> None:
    assert save(owner_of(alice), alice.workspace.name, *TOPICS) == 302
    assert not AuditEvent.objects.filter(workspace=alice.workspace, action="workspace.changed").exists()


def test_what_the_plan_allows_and_how_long_things_are_kept_stand_in_words(alice: Caller) -> None:
    ada = owner_of(alice)
    assert "kept for 90 days" in page(ada)
    until = product_clock.iso(product_clock.now() + timedelta(days=3))
    over = product_clock.iso(product_clock.now() - timedelta(days=3))
    holds = [{"days": 90, "until": until}, {"days": 365, "until": over}]
    Workspace.objects.filter(pk=alice.workspace.pk).update(plan="starter", retention_holds=holds)
    shown = page(ada)
    assert "kept for 30 days" in shown
    assert "still kept for 90 days" in shown
    assert "365" not in shown
    assert "1,000" in shown
    Workspace.objects.filter(pk=alice.workspace.pk).update(plan="unlimited", retention_holds=[])
    assert "until somebody deletes them" in page(ada)
    change_plan(alice, "unlimited", retention_days=1)
    assert "kept for 1 day." in page(ada)


def test_the_page_takes_few_statements_however_many_exports_there_are(alice: Caller) -> None:
    ada = owner_of(alice)
    client = ada.client()
    client.get(f"{ada.home}settings")
    with CaptureQueriesContext(connection) as few:
        client.get(f"{ada.home}settings")
    for _ in range(8):
        Export.objects.create(workspace=alice.workspace, state=Export.State.FAILED, problem=HOSTILE)
    with CaptureQueriesContext(connection) as many:
        answer = client.get(f"{ada.home}settings")
    assert len(many) == len(few) < 15
    assert "<script>alert" not in answer.content.decode()


# --- notification mails -----------------------------------------------------------------------------------------


def told(person: Person) -> list[str]:
    return [str(each.subject) for each in mail.outbox if each.to == [person.user.email]]


def test_owner_and_admins_hear_what_others_do(alice: Caller, jobs: Jobs) -> None:
    ada, adam = owner_of(alice), make_person(alice.workspace, "admin", "Adam")
    quiet, member = make_person(alice.workspace, "admin", "Quinn"), make_person(alice.workspace, "member", "Mel")
    quiet.user.wants_mail = False
    quiet.user.save()
    services.create_key(alice.workspace, "ci", actor=adam.user.email)
    jobs.do()
    assert told(ada) == [f"{adam.user.email} made the key ci · {alice.workspace.name}"]
    assert told(adam) + told(quiet) + told(member) == []
    assert alice.workspace.slug in mail.outbox[-1].body


def test_a_muted_topic_is_not_told(alice: Caller, jobs: Jobs) -> None:
    ada, adam = owner_of(alice), make_person(alice.workspace, "admin", "Adam")
    save(ada, alice.workspace.name, "members")
    services.create_key(alice.workspace, "ci", actor=adam.user.email)
    exports.ask(alice.workspace, actor=adam.user.email)
    audit.record(alice.workspace.pk, adam.user.email, "member.removed", "mel@example.com")
    jobs.do()
    assert [subject.partition(" · ")[0] for subject in told(ada)] == [f"{adam.user.email} removed mel@example.com"]


def test_nobodys_mailbox_is_filled_by_what_one_person_does(
    alice: Caller, jobs: Jobs, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "TOLD_AN_HOUR", 3)
    ada, adam = owner_of(alice), make_person(alice.workspace, "admin", "Adam")
    for number in range(6):
        services.create_key(alice.workspace, f"k{number}", actor=adam.user.email)
    audit.record(alice.workspace.pk, adam.user.email, "member.removed", "mel@example.com")
    jobs.do()
    assert len(told(ada)) == 4, "three keys, and the other topic"
    clock.forward(hours=2)
    services.create_key(alice.workspace, "later", actor=adam.user.email)
    jobs.do()
    assert len(told(ada)) == 5


def test_who_is_alone_gets_no_mail_about_themselves(alice: Caller, jobs: Jobs) -> None:
    ada = owner_of(alice)
    services.create_key(alice.workspace, "ci", actor=ada.user.email)
    assert jobs.names() == []


def test_a_mail_that_cannot_be_sent_hinders_nothing(
    alice: Caller, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    owner_of(alice)

    def fail(*args: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("accounts.mails.send_mail", fail)
    services.create_key(alice.workspace, "ci")
    export = exports.ask(alice.workspace)
    jobs.do()
    export.refresh_from_db()
    assert export.state == Export.State.READY


def test_names_cannot_forge_headers_of_a_mail(alice: Caller, jobs: Jobs) -> None:
    ada = owner_of(alice)
    Workspace.objects.filter(pk=alice.workspace.pk).update(name="a\r\nBcc: mallory@example.com")
    services.create_key(alice.workspace, "ci")
    jobs.do()
    (subject,) = told(ada)
    assert "\n" not in subject
    assert mail.outbox[-1].bcc == []
