"""Deleting an account: what it takes along, what is in the way, and that nothing of the person is left anywhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.db import connection
from django.test import Client

from accounts import audit, leaving, principals
from accounts.audit_log import ADDRESS_CHANGED
from accounts.models import AuditEvent, Export, Invite, Member, UsageDay, User, Workspace
from accounts.services import create_key
from bus.models import Channel, ChannelSender, Message
from crosswire.lib import clock as product_clock
from crosswire.lib.errors import CrossWireError
from tests.conftest import Clock
from tests.support.cast import Caller, make_workspace
from tests.support.jobs import Jobs
from tests.support.messages import seed
from tests.support.people import PASSWORD, Person, make_person

PAGE = "/account/delete"


def signed_in(person: Person) -> Client:
    """Return a client of somebody who has just typed their password."""
    client = person.client()
    answer = client.post(f"/accounts/reauthenticate/?next={PAGE}", {"password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return client


def delete(person: Person) -> Client:
    client = signed_in(person)
    answer = client.post(PAGE, {"typed": person.user.email.upper()})
    assert (answer.status_code, answer["Location"]) == (302, "/"), answer.content
    return client


def everywhere(wanted: str) -> set[str]:
    """Return the columns of the whole database in which a text stands."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for column in connection.introspection.get_table_description(cursor, table):
                name = f'"{table}"."{column.name}"'
                cursor.execute(
                    f'SELECT count(*) FROM "{table}" WHERE lower(CAST({name} AS text)) LIKE %s',  # noqa: S608
                    [f"%{wanted.lower()}%"],
                )
                if cursor.fetchone()[0]:
                    found.add(f"{table}.{column.name}")
    return found


def write(person: Person, content: str = "hello", name: str = "") -> Message:
    """Store a message that a person wrote on the live page."""
    sender = principals.PERSON + (name or person.user.get_full_name())
    (number,) = seed(Caller(create_key(person.workspace, "k")[1], person.workspace), [content], sender="placeholder")
    own: dict[str, Any] = {"workspace": person.workspace}
    rows = Message.objects.filter(**own, number=number)
    rows.update(sender=sender, sender_kind="human", member=person.member)
    ChannelSender.objects.filter(**own, sender="placeholder").delete()
    UsageDay.objects.filter(**own, instance="placeholder").delete()
    message = rows.get()
    ChannelSender.objects.update_or_create(
        **own, channel=message.channel, sender=sender, defaults={"last_number": number, "last_at": message.created_at}
    )
    Channel.objects.filter(**own).update(last_sender=sender)
    day, _ = UsageDay.objects.get_or_create(**own, day=message.created_at.date(), instance=sender)
    day.messages += 1
    day.save()
    return message


def furnish(person: Person) -> None:
    """Leave a trace of a person wherever one can be."""
    user, workspace = person.user, person.workspace
    audit.record(workspace.pk, user.email, "member.invited", f"{user.email}", email=user.email, many=[user.email])
    audit.record(None, user.email.upper(), "workspace.deleted", "abc")
    Invite.objects.create(
        workspace=workspace, email=user.email, created_by=user, digest=user.email[:30], expires_at=product_clock.now()
    )
    Export.objects.create(workspace=workspace, requested_by=user, state=Export.State.EXPIRED)
    SocialAccount.objects.create(user=user, provider="google", uid="1", extra_data={"email": user.email})
    Authenticator.objects.create(user=user, type=Authenticator.Type.RECOVERY_CODES, data={"for": user.email})
    EmailAddress.objects.create(user=user, email=f"second-{user.email}", verified=True)
    audit.record(workspace.pk, f"second-{user.email}", "key.created", "x")
    LogEntry.objects.create(
        user=make_person().user,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(user.pk),
        object_repr=user.email,
        action_flag=2,
        change_message=f'[{{"changed": {{"object": "{user.email}"}}}}]',
    )


def test_nothing_of_the_person_is_left_in_any_table(jobs: Jobs) -> None:
    owner = make_person(name="Olga Owner")
    eve = make_person(owner.workspace, "member", "Evelyn Unmistakable")
    furnish(eve)
    write(eve, "what I said")
    write(eve, "and before", name="Eve Formerly")
    client = delete(eve)
    jobs.do()
    for text in (eve.user.email, "Evelyn Unmistakable", "Eve Formerly"):
        assert everywhere(text) == set()
    assert everywhere(owner.user.email), "the search finds nothing"
    messages = Message.objects.filter(workspace=owner.workspace).order_by("number")
    assert [(each.content, each.sender, each.member_id, each.sender_kind) for each in messages] == [
        ("what I said", "human", None, "human"),
        ("and before", "human", None, "human"),
    ]
    senders = ChannelSender.objects.filter(workspace=owner.workspace).values_list("sender", "last_number")
    assert list(senders) == [("human", messages[1].number)]
    usage = UsageDay.objects.filter(workspace=owner.workspace).values_list("instance", "messages")
    assert list(usage) == [("human", 2)]
    assert AuditEvent.objects.filter(workspace=owner.workspace, actor=leaving.NOBODY).count() == 2
    assert client.get("/w/").status_code == 302, "still signed in"
    assert "sessionid" not in client.cookies or not client.cookies["sessionid"].value


def test_an_address_they_had_before_goes_too_unless_it_is_somebody_elses_now(jobs: Jobs) -> None:
    owner, taken = make_person(name="Olga"), make_person(name="Tom").user.email
    eve = make_person(owner.workspace, "member", "Eve")
    oldest, older = (f"{name}-{eve.user.email}" for name in ("oldest", "older"))
    for before, now in ((taken, oldest), (oldest, older), (older, eve.user.email)):
        audit.record(owner.workspace.pk, now, ADDRESS_CHANGED, now, before=before)
    audit.record(owner.workspace.pk, oldest, "key.created", "hers")
    audit.record(owner.workspace.pk, taken, "key.created", "his")
    delete(eve)
    jobs.do()
    assert (everywhere(oldest), everywhere(older)) == (set(), set())
    assert AuditEvent.objects.get(workspace=owner.workspace, target="hers").actor == leaving.NOBODY
    assert AuditEvent.objects.get(workspace=owner.workspace, target="his").actor == taken


def test_what_somebody_else_was_called_who_had_their_address_before_them_stays(jobs: Jobs) -> None:
    owner, tom = make_person(name="Olga"), make_person(name="Tom")
    eve = make_person(owner.workspace, "member", "Eve")
    toms, hers = (f"{name}-{eve.user.email}" for name in ("toms", "hers"))
    for before, now in ((toms, eve.user.email), (eve.user.email, tom.user.email), (hers, eve.user.email)):
        audit.record(tom.workspace.pk, now, ADDRESS_CHANGED, now, before=before)
    ann = make_person(owner.workspace, "member", "Ann")
    anns = f"before-{ann.user.email}"
    audit.record(tom.workspace.pk, ann.user.email, ADDRESS_CHANGED, ann.user.email, before=anns)
    User.objects.filter(pk=ann.user.pk).update(date_joined=product_clock.now() + timedelta(seconds=1))
    for person in (eve, ann):
        delete(person)
    jobs.do()
    assert everywhere(hers) == set()
    assert everywhere(toms) != set()
    assert everywhere(anns) != set(), "of somebody who had it before Ann came"


def test_somebody_whose_address_contains_the_persons_keeps_it(jobs: Jobs) -> None:
    eve = make_person(name="Eve")
    other = f"x{eve.user.email}.uk"
    home = make_workspace().workspace
    audit.record(home.pk, other, "member.joined", other, email=other)
    delete(eve)
    jobs.do()
    event = AuditEvent.objects.get(workspace=home, action="member.joined")
    assert (event.actor, event.target, event.details) == (other, other, {"email": other})


def test_workspaces_owned_alone_go_and_others_stay(jobs: Jobs) -> None:
    eve = make_person(name="Eve")
    theirs = make_person(name="Olga")
    Member.objects.create(workspace=theirs.workspace, user=eve.user, role="admin")
    page = signed_in(eve).get(PAGE).content.decode()
    assert eve.workspace.name in page
    assert theirs.workspace.name in page
    assert f"/w/{eve.workspace.slug}/settings#exports" in page, "the export is offered"
    delete(eve)
    assert eve.client().get(eve.home).status_code in (302, 404)
    jobs.do()
    assert not Workspace.objects.filter(pk=eve.workspace.pk).exists()
    assert not User.objects.filter(pk=eve.user.pk).exists()
    assert list(Member.objects.filter(workspace=theirs.workspace).values_list("user", flat=True)) == [theirs.user.pk]
    assert [each.subject for each in mail.outbox if each.to == [eve.user.email]] == [
        "Your CrossWire account was deleted"
    ]


def test_a_workspace_with_others_has_to_be_handed_over_first(jobs: Jobs) -> None:
    eve = make_person(name="Eve")
    bob = make_person(eve.workspace, "admin", "Bob")
    client = signed_in(eve)
    page = client.get(PAGE).content.decode()
    assert f"/w/{eve.workspace.slug}/settings/delete" in page
    assert 'name="typed"' not in page
    answer = client.post(PAGE, {"typed": eve.user.email})
    assert answer.status_code == 403
    assert "hand over" in answer.content.decode()
    assert jobs.names() == []
    Member.objects.filter(pk=bob.member.pk).update(role="owner")
    Member.objects.filter(pk=eve.member.pk).update(role="admin")
    delete(eve)
    jobs.do()
    assert Workspace.objects.filter(pk=eve.workspace.pk, closing_at=None).exists()


def test_it_asks_for_the_password_and_the_address(jobs: Jobs) -> None:
    eve = make_person(name="Eve")
    stranger = Client(HTTP_HOST="localhost")
    assert "/accounts/login/" in stranger.get(PAGE)["Location"]
    client = eve.client()
    for answer in (client.get(PAGE), client.post(PAGE, {"typed": eve.user.email})):
        assert "/accounts/reauthenticate/" in answer["Location"]
    client = signed_in(eve)
    for typed in ("", "x", f"{eve.user.email}x", "\x00", "x" * 5_000):
        assert client.post(PAGE, {"typed": typed}).status_code == 400
    assert User.objects.get(pk=eve.user.pk).is_active
    assert jobs.names() == []


def test_every_way_in_ends_at_once(jobs: Jobs) -> None:
    eve = make_person(name="Eve")
    elsewhere = eve.client()
    assert elsewhere.get("/w/").status_code == 302
    owner = make_person(name="Olga")
    member = Member.objects.create(workspace=owner.workspace, user=eve.user, role="member")
    held = principals.of_member(member)
    delete(eve)
    assert "/accounts/login/" in elsewhere.get(eve.home)["Location"]
    assert not UserSession.objects.filter(user=eve.user).exists()
    login = Client(HTTP_HOST="localhost").post(
        "/accounts/login/", {"login": eve.user.email, "password": PASSWORD}, follow=True
    )
    assert not login.context["user"].is_authenticated
    jobs.do()
    assert principals.refusals([held])[0] is not None


def test_messages_of_a_former_member_lose_the_name_too(jobs: Jobs) -> None:
    owner = make_person(name="Olga")
    eve = make_person(owner.workspace, "member", "Evelyn Unmistakable")
    write(eve)
    audit.record(owner.workspace.pk, owner.user.email, "member.removed", eve.user.email)
    eve.member.delete()
    delete(eve)
    jobs.do()
    assert everywhere("Evelyn Unmistakable") == set()


def test_erasing_that_was_killed_goes_on_by_the_schedule(
    jobs: Jobs, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = make_person(name="Olga")
    eve = make_person(owner.workspace, "member", "Evelyn Unmistakable")
    write(eve)
    furnish(eve)
    delete(eve)
    jobs.forget()
    with monkeypatch.context() as patch:
        patch.setattr(leaving, "_rename_in_records", lambda address: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            leaving.erase(eve.user.pk)
    assert User.objects.filter(pk=eve.user.pk).exists()
    clock.forward(minutes=3)
    leaving.resume()
    jobs.do()
    assert everywhere("Evelyn Unmistakable") | everywhere(eve.user.email) == set()
    leaving.erase(eve.user.pk)


def test_two_people_of_one_name_stay_apart_where_it_matters(jobs: Jobs) -> None:
    owner = make_person(name="Ada Jones")
    eve = make_person(owner.workspace, "member", "Ada Jones")
    kept, given = write(owner, "mine"), write(eve, "hers")
    delete(eve)
    jobs.do()
    kept.refresh_from_db()
    given.refresh_from_db()
    assert (kept.sender, kept.member_id) == ("human:Ada Jones", owner.member.pk)
    assert (given.sender, given.member_id) == ("human", None)
    assert ChannelSender.objects.filter(workspace=owner.workspace, sender="human:Ada Jones").exists()


def test_the_service_says_no_where_others_came_meanwhile() -> None:
    eve = make_person(name="Eve")
    make_person(eve.workspace, "viewer", "Vic")
    with pytest.raises(CrossWireError, match="hand over"):
        leaving.close(eve.user)
    assert (
        AuditEvent.objects.filter(
            at__lt=product_clock.now() + timedelta(seconds=1), action="workspace.deleted", actor=eve.user.email
        ).count()
        == 0
    )
