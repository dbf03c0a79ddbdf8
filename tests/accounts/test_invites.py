"""An invite as the invited person meets it: used once, by whoever has its address verified, in a race too."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client

from accounts import invites, services
from accounts.models import AuditEvent, Member, User
from crosswire.lib import keys
from tests.accounts.joining import actions, answer, code_of, invited, joined, link_in
from tests.conftest import Clock
from tests.support.people import Person, make_person
from tests.support.races import at_once


@pytest.fixture(autouse=True)
def outbox() -> list[mail.EmailMessage]:
    """What was mailed."""
    mail.outbox.clear()
    return mail.outbox


@pytest.fixture
def ada() -> Person:
    return make_person(role="owner")


@pytest.fixture
def guest() -> Person:
    """Somebody with a workspace of their own, whom Ada may invite."""
    return make_person(name="Guest Gray")


# --- from the mail to the workspace -----------------------------------------------------------------------------


def test_an_invited_person_follows_the_mail_accepts_and_is_in(ada: Person, guest: Person) -> None:
    client = ada.client()
    sent = client.post(f"{ada.home}members/invite", {"email": guest.user.email.upper(), "role": "viewer"})
    assert sent.status_code == 302
    (message,) = mail.outbox
    assert message.to == [guest.user.email]
    assert message.subject == f"Ada Jones invites you to {ada.workspace.name} on CrossWire"
    theirs = guest.client()
    page = theirs.get(link_in(message))
    assert page.status_code == 200
    for shown in (ada.workspace.name, "Ada Jones", ada.user.email, "viewer"):
        assert shown in page.content.decode()
    accepted = answer(guest, page.context["invite"], client=theirs)
    assert (accepted.status_code, accepted["location"]) == (302, ada.home)
    assert joined(ada) == [(guest.user.email, "viewer")]
    assert f"Welcome to {ada.workspace.name}" in theirs.get(ada.home).content.decode()
    assert actions(ada) == ["invite.sent", "member.joined"]
    event = AuditEvent.objects.get(workspace=ada.workspace, action="member.joined")
    assert (event.actor, event.details) == (guest.user.email, {"role": "viewer", "invited_by": ada.user.email})


def test_a_stranger_is_led_through_sign_up_and_back(ada: Person) -> None:
    invites.send(ada.member, email="new.person@example.com", role="member")
    path = link_in(mail.outbox.pop())
    client = Client(HTTP_HOST="localhost")
    page = client.get(path)
    assert page.status_code == 200
    assert ada.workspace.name not in page.content.decode()
    (sign_up,) = re.findall(r'href="(/accounts/signup/\?next=[^"]+)"', page.content.decode())
    client.post(sign_up, {"email": "New.Person@example.com", "password1": "correct-horse-battery-9"})
    (code,) = re.findall(r"^\s*([A-Z0-9]{3,}-?[A-Z0-9]{3,})\s*$", str(mail.outbox[-1].body), re.MULTILINE)
    confirmed = client.post("/accounts/confirm-email/", {"code": code})
    assert (confirmed.status_code, confirmed["location"]) == (302, path)
    back = client.get(path)
    assert ada.workspace.name in back.content.decode()
    client.post("/invites", {"invite": back.context["invite"].pk, "answer": "accept"})
    assert joined(ada) == [("new.person@example.com", "member")]


def test_signing_in_leads_back_to_the_invite(ada: Person, guest: Person) -> None:
    _, path = invited(ada, guest)
    client = Client(HTTP_HOST="localhost")
    (sign_in,) = re.findall(
        r'class="button"\s+href="(/accounts/login/\?next=[^"]+)"', client.get(path).content.decode()
    )
    done = client.post(sign_in, {"login": guest.user.email, "password": "correct-horse-battery-9"})
    assert (done.status_code, done["location"]) == (302, path)


def test_declining_ends_the_invite_and_is_told(ada: Person, guest: Person) -> None:
    invite, path = invited(ada, guest)
    assert answer(guest, invite, "decline").status_code == 302
    assert actions(ada) == ["invite.sent", "invite.declined"]
    assert guest.client().get(path).status_code == 410
    assert answer(guest, invite).status_code == 404
    assert joined(ada) == []


def test_invites_that_wait_are_listed_and_answered_there(ada: Person, guest: Person) -> None:
    invited(ada, guest)
    other = make_person(name="Cy Doe")
    invited(other, guest, "admin")
    page = guest.client().get("/invites").content.decode()
    assert ada.workspace.name in page
    assert other.workspace.name in page
    assert ada.client().get("/invites").context["invites"].count() == 0


def test_who_has_no_workspace_but_an_invite_is_sent_to_it(ada: Person, guest: Person) -> None:
    guest.member.delete()
    client = guest.client()
    assert "You are in no workspace" in client.get("/w/").content.decode()
    invited(ada, guest)
    assert client.get("/w/")["location"] == "/invites"


# --- who may use one --------------------------------------------------------------------------------------------


def test_an_invite_serves_nobody_but_who_has_its_address(ada: Person, guest: Person) -> None:
    invite, path = invited(ada, guest)
    mallory = make_person(name="Mallory")
    page = mallory.client().get(path)
    assert page.status_code == 403
    text = page.content.decode()
    assert mallory.user.email in text
    assert "Sign out" in text
    for secret in (ada.workspace.name, ada.user.email, guest.user.email, ada.workspace.slug):
        assert secret not in text
    assert answer(mallory, invite).status_code == 404
    assert answer(mallory, invite, "decline").status_code == 404
    assert joined(ada) == []
    assert answer(guest, invite).status_code == 302


def test_signing_out_leads_back_to_the_invite(ada: Person, guest: Person) -> None:
    _, path = invited(ada, guest)
    client = make_person(name="Mallory").client()
    (to,) = re.findall(r'name="next" value="([^"]+)"', client.get(path).content.decode())
    left = client.post("/accounts/logout/", {"next": to})
    assert (left.status_code, left["location"]) == (302, path)
    assert "Sign in" in client.get(path).content.decode()


def test_an_address_counts_once_it_is_verified(ada: Person) -> None:
    mallory = make_person(name="Mallory")
    invite = invites.send(ada.member, email="shared@example.com", role="admin").invite
    mine = EmailAddress.objects.create(user=mallory.user, email="shared@example.com", verified=False)
    User.objects.filter(pk=mallory.user.pk).update(email="shared@example.com")
    assert code_of(invites.accept, mallory.user, invite.pk) == "not_found"
    assert not invites.pending_for(mallory.user).exists()
    mine.verified = True
    mine.save()
    assert code_of(invites.accept, mallory.user, invite.pk) == ""


@pytest.mark.parametrize("said", ["", "yes", "ACCEPT", "\0"])
@pytest.mark.parametrize("named", ["", "0", "-1", "x", "9" * 40, "\0"])
def test_an_answer_that_is_none_changes_nothing(ada: Person, guest: Person, said: str, named: str) -> None:
    invite, _ = invited(ada, guest)
    client = guest.client()
    assert client.post("/invites", {"invite": invite.pk, "answer": said}).status_code == 400
    assert client.post("/invites", {"invite": named, "answer": "accept"}).status_code == 400
    assert joined(ada) == []


def test_a_member_keeps_their_place_when_they_use_an_invite_to_another_address(ada: Person, guest: Person) -> None:
    Member.objects.create(workspace=ada.workspace, user=guest.user, role="viewer")
    EmailAddress.objects.create(user=guest.user, email="second@example.com", verified=False)
    invite = invites.send(ada.member, email="second@example.com", role="admin").invite
    EmailAddress.objects.filter(user=guest.user).update(verified=True)
    assert answer(guest, invite).status_code == 302
    assert joined(ada) == [(guest.user.email, "viewer")]
    assert actions(ada) == ["invite.sent"]


# --- links that are over ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["expired", "revoked", "used"])
def test_a_link_that_is_over_says_so_and_tells_the_wrong_person_nothing(
    ada: Person, guest: Person, clock: Clock, end: str
) -> None:
    invite, path = invited(ada, guest)
    match end:
        case "expired":
            clock.forward(days=7, seconds=1)
        case "revoked":
            invites.revoke(ada.member, invite.pk)
        case "used":
            invites.accept(guest.user, invite.pk)
    for client in (guest.client(), make_person(name="Mallory").client(), Client(HTTP_HOST="localhost")):
        page = client.get(path)
        assert page.status_code == 410
        assert {"expired": "expired", "revoked": "no longer open", "used": "was used"}[end] in page.content.decode()
    for client in (make_person(name="Mallory").client(), Client(HTTP_HOST="localhost")):
        assert ada.workspace.name not in client.get(path).content.decode()
    assert answer(guest, invite).status_code == 404
    assert answer(guest, invite, "decline").status_code == 404
    assert len(joined(ada)) == (end == "used")


def test_an_invite_works_until_the_end_of_its_seventh_day(ada: Person, guest: Person, clock: Clock) -> None:
    invite, _ = invited(ada, guest)
    clock.forward(days=6, hours=23, minutes=59)
    assert answer(guest, invite).status_code == 302


@pytest.mark.parametrize("token", ["x", "a" * 5_000, "%00", "%ff%fe", "..", "<script>", "A" * 27])
def test_a_link_that_never_was_says_so(token: str) -> None:
    page = Client(HTTP_HOST="localhost").get(f"/invites/{token}")
    assert page.status_code == 404
    assert "no such invite" in page.content.decode()


def test_a_token_has_160_bits_and_is_kept_as_a_digest_alone(ada: Person, guest: Person) -> None:
    invite, path = invited(ada, guest)
    token = path.rpartition("/")[2]
    assert len(token) == 27, "20 bytes as base 64"
    assert invite.digest == keys.digest(token)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of tables that are there
            assert token not in str(cursor.fetchall()), table


def test_a_page_with_an_invite_is_kept_by_no_cache(ada: Person, guest: Person) -> None:
    _, path = invited(ada, guest)
    for page in (Client(HTTP_HOST="localhost").get(path), guest.client().get(path), guest.client().get("/invites")):
        assert "no-store" in page["cache-control"]


def test_an_invite_to_a_suspended_workspace_waits(ada: Person, guest: Person) -> None:
    invite, _ = invited(ada, guest)
    services.suspend(ada.workspace, "the reason is nobody's business")
    refused = answer(guest, invite)
    assert refused.status_code == 403
    assert "nobody's business" not in refused.content.decode()
    services.resume(ada.workspace)
    assert answer(guest, invite).status_code == 302


# --- races ------------------------------------------------------------------------------------------------------


def test_an_invite_is_used_once_however_many_use_it_at_once(ada: Person, guest: Person) -> None:
    for _ in range(3):
        invite, _ = invited(ada, guest)
        codes = at_once(*[partial(invites.accept, guest.user, invite.pk)] * 6)
        assert sorted(codes) == ["", *["not_found"] * 5]
        assert joined(ada) == [(guest.user.email, "member")]
        assert actions(ada).count("member.joined") == 1
        Member.objects.filter(user=guest.user, workspace=ada.workspace).delete()
        AuditEvent.objects.filter(workspace=ada.workspace, action="member.joined").delete()


@pytest.mark.parametrize("rival", ["revoke", "decline", "renew"])
def test_an_invite_that_is_answered_while_it_ends_does_one_thing(ada: Person, guest: Person, rival: str) -> None:
    for _ in range(3):
        invite, _ = invited(ada, guest)
        works: dict[str, Callable[[], object]] = {
            "revoke": partial(invites.revoke, ada.member, invite.pk),
            "decline": partial(invites.decline, guest.user, invite.pk),
            "renew": partial(invites.resend, ada.member, invite.pk),
        }
        accepted, ended = at_once(partial(invites.accept, guest.user, invite.pk), works[rival])
        invite.refresh_from_db()
        if rival == "renew":
            assert accepted == ""
            assert ended in {"", "not_found", "invalid_input"}
        else:
            assert sorted([accepted, ended]) == ["", "not_found"]
        assert len(joined(ada)) == (accepted == "")
        assert (invite.accepted_at is not None) == (accepted == "")
        Member.objects.filter(user=guest.user, workspace=ada.workspace).delete()
        AuditEvent.objects.filter(workspace=ada.workspace).delete()  # which counts the mails a day may bring
