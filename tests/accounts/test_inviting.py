"""Inviting people: who may, to which roles, how many, and what is mailed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import invites, members
from accounts.models import Member, User
from tests.accounts.joining import HOSTILE, LINK, actions, code_of, invited, link_in
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


# --- inviting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", Member.Role.values)
@pytest.mark.parametrize("role", Member.Role.values)
def test_one_invites_to_roles_below_ones_own(ada: Person, guest: Person, actor: str, role: str) -> None:
    by = make_person(ada.workspace, actor, "Actor")
    rank = ["viewer", "member", "admin", "owner"]
    is_allowed = actor in ("admin", "owner") and rank.index(role) < rank.index(actor)
    code = code_of(invites.send, by.member, email=guest.user.email, role=role)
    assert code == ("" if is_allowed else "forbidden")
    assert len(mail.outbox) == is_allowed


def test_an_admin_leaves_the_owners_invites_to_higher_roles_alone(ada: Person, guest: Person) -> None:
    admin = make_person(ada.workspace, "admin", "Adm In")
    invite, path = invited(ada, guest, "admin")
    assert code_of(invites.revoke, admin.member, invite.pk) == "forbidden"
    assert code_of(invites.resend, admin.member, invite.pk) == "forbidden"
    assert code_of(invites.send, admin.member, email=guest.user.email, role="viewer") == "forbidden"
    assert guest.client().get(path).status_code == 200
    invite.refresh_from_db()
    assert invite.role == "admin"


def test_inviting_again_renews_the_invite(ada: Person, guest: Person, clock: Clock) -> None:
    invite, old = invited(ada, guest, "viewer")
    clock.forward(days=6)
    again, new = invited(ada, guest, "member")
    assert again.pk == invite.pk
    client = guest.client()
    assert client.get(old).status_code == 404
    clock.forward(days=6)
    assert client.get(new).context["invite"].role == "member"
    assert actions(ada) == ["invite.sent", "invite.renewed"]


def test_an_invite_is_sent_again_and_withdrawn_from_the_page(ada: Person, guest: Person) -> None:
    invite, old = invited(ada, guest)
    client = ada.client()
    page = client.get(f"{ada.home}members").content.decode()
    assert guest.user.email in page
    assert client.post(f"{ada.home}members/invites/{invite.pk}/resend").status_code == 302
    assert len(mail.outbox) == 2
    new = link_in(mail.outbox[-1])
    assert new != old
    assert client.post(f"{ada.home}members/invites/{invite.pk}/revoke").status_code == 302
    assert guest.client().get(new).status_code == 410
    assert client.post(f"{ada.home}members/invites/{invite.pk}/revoke").status_code == 404
    assert client.post(f"{ada.home}members/invites/{invite.pk}/resend").status_code == 404


@pytest.mark.parametrize(
    "email", ["", "x", "a@b", "@example.com", "a b@example.com", "a@example.com\nBcc: b@example.com", "a\0@example.com",
              f"{'a' * 250}@example.com", "<script>@example.com", f"a@{'ü' * 60}.example"]
)  # fmt: skip
def test_what_is_no_address_is_not_invited(ada: Person, email: str) -> None:
    assert code_of(invites.send, ada.member, email=email, role="viewer") == "invalid_input"
    page = ada.client().post(f"{ada.home}members/invite", {"email": email, "role": "viewer"})
    assert page.status_code == 400
    assert "errorlist" in page.content.decode()
    assert "<script>@" not in page.content.decode()
    assert mail.outbox == []


@pytest.mark.parametrize("role", ["", "owner", "god", "\0"])
def test_the_form_takes_no_role_beyond_ones_own(ada: Person, role: str) -> None:
    page = ada.client().post(f"{ada.home}members/invite", {"email": "p@example.com", "role": role})
    assert page.status_code == 400
    assert mail.outbox == []


def test_a_member_is_not_invited_again(ada: Person) -> None:
    other = make_person(ada.workspace, "viewer", "Bo Lee")
    page = ada.client().post(f"{ada.home}members/invite", {"email": other.user.email.title(), "role": "viewer"})
    assert page.status_code == 400
    assert "a member already" in page.content.decode()


def test_fifty_invites_wait_and_not_one_more(ada: Person, clock: Clock) -> None:
    for number in range(invites.PENDING_MOST):
        invites.send(ada.member, email=f"p{number}@example.com", role="viewer")
    assert code_of(invites.send, ada.member, email="one@example.com", role="viewer") == "limit_reached"
    assert code_of(invites.send, ada.member, email="p7@example.com", role="viewer") == "", "renewing adds none"
    client = ada.client()
    with CaptureQueriesContext(connection) as ran:
        page = client.get(f"{ada.home}members")
    assert len(ran) < 20
    assert len(page.content) < 150_000
    clock.forward(days=8)
    assert code_of(invites.send, ada.member, email="one@example.com", role="viewer") == ""


def test_a_workspace_mails_a_hundred_invites_a_day(ada: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invites, "MAILS_A_DAY", 3)
    for _ in range(3):
        invite = invites.send(ada.member, email="p@example.com", role="viewer").invite
        invites.revoke(ada.member, invite.pk)
    assert code_of(invites.send, ada.member, email="p@example.com", role="viewer") == "rate_limited"
    clock.forward(days=1)
    assert code_of(invites.send, ada.member, email="p@example.com", role="viewer") == ""


def test_one_address_is_mailed_five_times_a_day(ada: Person, clock: Clock) -> None:
    for _ in range(invites.MAILS_TO_ONE_A_DAY):
        invites.send(ada.member, email="p@example.com", role="viewer")
    assert code_of(invites.send, ada.member, email="P@example.com", role="viewer") == "rate_limited"
    assert code_of(invites.send, ada.member, email="q@example.com", role="viewer") == ""
    clock.forward(days=1)
    assert code_of(invites.send, ada.member, email="p@example.com", role="viewer") == ""


def test_invites_end_with_the_right_to_send_them(ada: Person, guest: Person) -> None:
    for lose in (
        lambda person: members.remove(ada.member, person.member.pk),
        lambda person: members.set_role(ada.member, person.member.pk, "member"),
        lambda person: members.leave(person.member),
    ):
        admin = make_person(ada.workspace, "admin", "Adm In")
        invite = invites.send(admin.member, email=guest.user.email, role="member").invite
        lose(admin)
        assert code_of(invites.accept, guest.user, invite.pk) == "not_found"
        assert actions(ada)[-1] == "invite.revoked" or "invite.revoked" in actions(ada)[-2:]


# --- races ------------------------------------------------------------------------------------------------------


def test_an_admin_who_is_demoted_while_they_invite_leaves_no_invite(ada: Person, guest: Person) -> None:
    for _ in range(3):
        admin = make_person(ada.workspace, "admin", "Adm In")
        at_once(
            partial(members.set_role, ada.member, admin.member.pk, "member"),
            partial(invites.send, admin.member, email=guest.user.email, role="viewer"),
        )
        assert not invites.pending_in(ada.workspace).exists()


def test_the_last_place_for_an_invite_is_given_once(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invites, "PENDING_MOST", 3)
    works = [partial(invites.send, ada.member, email=f"p{n}@example.com", role="viewer") for n in range(6)]
    assert sorted(at_once(*works)) == [""] * 3 + ["limit_reached"] * 3
    assert len(mail.outbox) == 3, "who was refused gets no mail"


# --- the mail ---------------------------------------------------------------------------------------------------


def test_hostile_names_forge_nothing_in_a_mail(ada: Person, guest: Person) -> None:
    User.objects.filter(pk=ada.user.pk).update(name="Ada\r\nBcc: all@example.com <b>")
    ada.workspace.name = "Acme\nhttp://evil.example/invites/x"
    ada.workspace.save()
    invites.send(ada.member, email=guest.user.email, role="member")
    (message,) = mail.outbox
    assert message.recipients() == [guest.user.email]
    assert (
        message.subject == "AdaBcc: all@example.com <b> invites you to Acmehttp://evil.example/invites/x on CrossWire"
    )
    assert len(LINK.findall(str(message.body))) == 1


def test_hostile_names_are_text_on_the_pages_of_an_invite(ada: Person, guest: Person) -> None:
    User.objects.filter(pk=ada.user.pk).update(name=HOSTILE)
    ada.workspace.name = HOSTILE
    ada.workspace.save()
    ada.member.refresh_from_db()
    _, path = invited(ada, guest)
    client = guest.client()
    for page in (client.get(path), client.get("/invites"), ada.client().get(f"{ada.home}members")):
        assert HOSTILE not in page.content.decode()
        assert "&lt;script&gt;" in page.content.decode()


def test_a_mail_server_that_is_away_loses_no_invite(
    ada: Person, guest: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> int:
        raise ConnectionRefusedError("no mail today")

    monkeypatch.setattr(mail, "send_mail", fail)
    client = ada.client()
    answer = client.post(f"{ada.home}members/invite", {"email": guest.user.email, "role": "viewer"}, follow=True)
    assert "could not be sent" in answer.content.decode()
    assert "no mail today" in caplog.text
    invite = invites.pending_in(ada.workspace).get()
    monkeypatch.undo()
    assert client.post(f"{ada.home}members/invites/{invite.pk}/resend").status_code == 302
    assert len(mail.outbox) == 1
