"""Signing up: the code, what goes wrong with it, and the workspace at the end."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.db import connections

from accounts import signup
from accounts.here import FIRST_KEY
from accounts.models import AuditEvent, Invite, Member, User, Workspace
from bus.models import Channel
from crosswire.lib import clock
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.mails import code_for, code_in, mails_to
from tests.support.people import PASSWORD
from tests.support.visitors import CONFIRM, Visitor, new_address


def workspaces_of(email: str) -> list[Workspace]:
    return list(Workspace.objects.filter(members__user__email=email))


# --- the way through --------------------------------------------------------------------------------------------


def test_signing_up_ends_in_a_workspace_of_ones_own() -> None:
    email, visitor = new_address(), Visitor()
    landed = visitor.join(email, name="Ada Jones", time_zone="Europe/Berlin")
    [workspace] = workspaces_of(email)
    assert (workspace.name, workspace.plan) == ("Ada's workspace", "free")
    assert landed.url.startswith(f"/w/{workspace.slug}/")  # type: ignore[attr-defined] # a redirect
    assert visitor.session[FIRST_KEY] is True
    assert visitor.get(landed.url).status_code == 200  # type: ignore[attr-defined] # as above
    member = Member.objects.select_related("user").get(workspace=workspace)
    assert (member.role, member.user.name, member.user.time_zone) == ("owner", "Ada Jones", "Europe/Berlin")
    assert EmailAddress.objects.get(user=member.user).verified
    assert Channel.objects.filter(workspace=workspace, name="general").exists()
    assert AuditEvent.objects.get(workspace=workspace, action="workspace.created").actor == email


def test_before_the_code_nobody_is_signed_in_and_no_workspace_is_made() -> None:
    email, visitor = new_address(), Visitor()
    assert visitor.sign_up(email).url == CONFIRM  # type: ignore[attr-defined] # a redirect
    assert not visitor.is_signed_in
    assert visitor.get("/account/").status_code == 302
    assert workspaces_of(email) == []


@pytest.mark.parametrize(
    ("name", "local", "expected"),
    [
        ("", "grace.hopper", "Grace's workspace"),
        ("James Bond", "jb", "James's workspace"),
        ("李 小龙", "bruce", "李's workspace"),
        ("<script>alert(1)</script>", "x", "<script>alert(1)</script>'s workspace"),
        ("", "+", "My workspace"),
    ],
)
def test_the_workspace_is_named_after_its_owner(name: str, local: str, expected: str) -> None:
    user = User(email=f"{local}@example.com", name=name)
    assert f"{signup.possessive(user)} workspace" == expected


@pytest.mark.parametrize("name", ["two\nlines", "a\x00b", "x" * 81, "\u202eevil"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    email = new_address()
    assert Visitor().sign_up(email, name=name).status_code == 200
    assert not User.objects.filter(email=email).exists()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "x" * 5000, "\x00"])
def test_a_time_zone_that_is_none_counts_as_utc_or_is_refused(zone: str) -> None:
    email = new_address()
    Visitor().sign_up(email, time_zone=zone)
    assert all(user.time_zone == "UTC" for user in User.objects.filter(email=email))


@pytest.mark.parametrize("password", ["", "short", "12345678"])
def test_a_weak_password_is_refused(password: str) -> None:
    email = new_address()
    assert Visitor().sign_up(email, password).status_code == 200
    assert not User.objects.filter(email=email).exists()


@pytest.mark.parametrize(
    "email",
    ["", "nonsense", "a@b", "x" * 300 + "@example.com", "a\x00@example.com", "a@example.com\nBcc: b@example.com"],
)
def test_an_address_that_is_none_is_refused(email: str) -> None:
    before = User.objects.count()
    assert Visitor().sign_up(email).status_code == 200
    assert User.objects.count() == before


def test_an_address_counts_in_whatever_case_it_is_typed() -> None:
    email = new_address("Ada")
    visitor = Visitor()
    visitor.sign_up(email.upper())
    assert visitor.confirm(code_for(email.lower())).status_code == 302
    assert Visitor().sign_in(email.swapcase()).status_code == 302
    assert User.objects.get(email__iexact=email).email == email.lower()


# --- the code ---------------------------------------------------------------------------------------------------


def test_the_mail_is_short_plain_and_says_what_to_do() -> None:
    email = new_address()
    Visitor().sign_up(email)
    [mail] = mails_to(email)
    assert mail.subject == f"{code_in(str(mail.body))} is your CrossWire code"
    assert "15 minutes" in mail.body
    assert len(str(mail.body)) < 500
    assert not getattr(mail, "alternatives", None)


@pytest.mark.parametrize("form", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code} "])
def test_a_code_may_be_typed_carelessly(form: Any) -> None:
    email, visitor = new_address(), Visitor()
    visitor.sign_up(email)
    assert visitor.confirm(form(code_for(email))).status_code == 302
    assert visitor.is_signed_in


@pytest.mark.parametrize("code", ["", "BBBB-BBBB", "x" * 10_000, "\x00", "ÄÖÜß", "0"])
def test_a_wrong_code_opens_nothing(code: str) -> None:
    email, visitor = new_address(), Visitor()
    visitor.sign_up(email)
    assert visitor.confirm(code).status_code == 200
    assert not visitor.is_signed_in


def test_three_wrong_codes_end_the_attempt_for_good() -> None:
    email, visitor = new_address(), Visitor()
    visitor.sign_up(email)
    assert [visitor.confirm("BBBB-BBBB").status_code for _ in range(3)] == [200, 200, 302]
    assert visitor.confirm(code_for(email)).url == "/accounts/login/"  # type: ignore[attr-defined] # a redirect
    assert not visitor.is_signed_in


def test_a_code_runs_out_and_that_is_said() -> None:
    email, visitor = new_address(), Visitor()
    with time_machine.travel(clock.now(), tick=True) as now:
        visitor.sign_up(email)
        now.shift(timedelta(minutes=14))
        assert visitor.get(CONFIRM).status_code == 200
        now.shift(timedelta(minutes=2))
        answer = visitor.post(CONFIRM, {"code": code_for(email)}, follow=True)
        assert "The code is no longer valid" in answer.content.decode()
        assert not visitor.is_signed_in
        visitor.sign_in(email)  # which sends another one
        assert visitor.confirm(code_for(email)).status_code == 302
    assert len(workspaces_of(email)) == 1


def test_another_code_can_be_asked_for_and_only_the_last_one_counts() -> None:
    email, visitor = new_address(), Visitor()
    with time_machine.travel(clock.now(), tick=True) as now:
        visitor.sign_up(email)
        now.shift(timedelta(seconds=11))
        assert visitor.post(CONFIRM, {"action": "resend"}).status_code == 302
    first, second = mails_to(email)
    assert visitor.confirm(code_in(str(first.body))).status_code == 200
    assert visitor.confirm(code_in(str(second.body))).status_code == 302


def test_codes_cannot_be_asked_for_without_end() -> None:
    email, visitor = new_address(), Visitor()
    visitor.sign_up(email)
    assert visitor.post(CONFIRM, {"action": "resend"}).status_code == 429
    assert len(mails_to(email)) == 1


def test_nobodys_mailbox_is_filled_by_strangers() -> None:
    email = new_address()
    with time_machine.travel(clock.now(), tick=True) as now:
        for _ in range(20):
            Visitor().sign_up(email)
            now.shift(timedelta(seconds=15))
    assert 1 <= len(mails_to(email)) <= 12


def test_a_mistyped_address_is_replaced_by_beginning_anew() -> None:
    wrong, right, visitor = new_address("adaa"), new_address(), Visitor()
    visitor.sign_up(wrong)
    assert "Use another address" in visitor.get(CONFIRM).content.decode()
    again = visitor.post("/accounts/logout/", {"next": "/accounts/signup/"})
    assert again["Location"] == "/accounts/signup/"
    assert visitor.get("/accounts/signup/").status_code == 200
    assert visitor.join(right).status_code == 302
    assert workspaces_of(wrong) == []


def test_a_code_works_in_the_browser_that_asked_for_it_alone() -> None:
    email, other = new_address(), Visitor()
    Visitor().sign_up(email)
    assert other.confirm(code_for(email)).url == "/accounts/login/"  # type: ignore[attr-defined] # a redirect
    assert not other.is_signed_in


# --- invites, and once alone ------------------------------------------------------------------------------------


def invite(workspace: Workspace, email: str, **fields: Any) -> Invite:
    return Invite.objects.create(
        workspace=workspace,
        email=email,
        digest=email[:64],
        **{"expires_at": clock.now() + timedelta(days=7), **fields},
    )


def test_who_is_invited_gets_no_workspace_of_their_own(alice: Caller) -> None:
    email, visitor = new_address(), Visitor()
    invite(alice.workspace, email)
    landed = visitor.join(email)
    assert landed.url == "/invites"  # type: ignore[attr-defined] # a redirect
    assert workspaces_of(email) == []
    assert FIRST_KEY not in visitor.session


@pytest.mark.parametrize("state", ["accepted_at", "revoked_at", "expires_at"])
def test_an_invite_that_no_longer_stands_does_not_count(alice: Caller, clock: Clock, state: str) -> None:
    email = new_address()
    invite(alice.workspace, email, **{state: clock.now() - timedelta(days=1)})
    Visitor().join(email)
    assert len(workspaces_of(email)) == 1


def test_an_invite_for_somebody_else_does_not_count(alice: Caller) -> None:
    email = new_address()
    invite(alice.workspace, f"x{email}")
    Visitor().join(email)
    assert len(workspaces_of(email)) == 1


def test_only_the_first_time_makes_a_workspace() -> None:
    email, visitor = new_address(), Visitor()
    visitor.join(email)
    Workspace.objects.filter(members__user__email=email).delete()
    again = Visitor()
    assert again.sign_in(email).url == "/w/"  # type: ignore[attr-defined] # a redirect
    assert workspaces_of(email) == []
    assert "You are in no workspace" in again.get("/w/").content.decode()


def test_however_many_calls_come_at_once_there_is_one_workspace() -> None:
    user = User.objects.create_user(new_address(), PASSWORD)
    together, made = threading.Barrier(6), []

    def furnish() -> None:
        together.wait(20)
        try:
            made.append(signup.furnish(user))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=furnish) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 6
    assert len([each for each in made if each is not None]) == 1
    assert len(workspaces_of(user.email)) == 1


# --- what a page may be asked -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "https:evil.example",
        "http://localhost@evil.example/",
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_up(target: str) -> None:
    email, visitor = new_address(), Visitor()
    visitor.sign_up(email, next=target)
    landed = visitor.post(CONFIRM, {"code": code_for(email), "next": target})
    assert landed["Location"].startswith("/w/")


def test_a_page_that_was_asked_for_comes_first() -> None:
    email, visitor = new_address(), Visitor()
    visitor.sign_up(email, next="/account/")
    assert visitor.confirm(code_for(email)).url == "/account/"  # type: ignore[attr-defined] # a redirect
    assert len(workspaces_of(email)) == 1


@pytest.mark.parametrize(
    "path", ["/accounts/signup/", "/accounts/login/", "/accounts/password/reset/", "/accounts/logout/", CONFIRM]
)
def test_a_form_without_its_token_is_refused_in_our_words(path: str) -> None:
    answer = Visitor(enforce_csrf_checks=True).post(path, {"email": new_address(), "password1": PASSWORD})
    assert answer.status_code == 403
    assert "The form was too old" in answer.content.decode()
