"""Profile and workspaces, and what the pages of an account cost."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.forms import time_zones
from accounts.models import Member, User
from tests.conftest import MakeWorkspace
from tests.support.people import make_person
from tests.support.visitors import Visitor, signed_in

PAGES = (
    "/account/",
    "/account/workspaces/",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/2fa/webauthn/",
    "/accounts/sessions/",
    "/accounts/3rdparty/",
    "/accounts/logout/",
)
OPEN_PAGES = ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/")
PROFILE = {"name": "Ada Jones", "time_zone": "Europe/Berlin", "wants_mail": "on"}


@pytest.mark.parametrize("path", PAGES)
def test_strangers_are_asked_to_sign_in_first(path: str) -> None:
    answer = Visitor().get(path)
    assert answer.status_code == 302
    if "logout" not in path:
        assert answer["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", PAGES)
def test_each_page_takes_few_queries_and_is_light(path: str, make_workspace: MakeWorkspace) -> None:
    ada = make_person()
    for number in range(20):
        Member.objects.create(user=ada.user, workspace=make_workspace(name=f"w{number}").workspace, role="member")
    visitor = signed_in(ada)
    visitor.get("/account/")
    with CaptureQueriesContext(connection) as ran:
        answer = visitor.get(path)
    assert answer.status_code == 200
    assert len(ran) <= 12, [each["sql"][:100] for each in ran]
    assert len(answer.content) < 100_000


@pytest.mark.parametrize("path", OPEN_PAGES)
def test_pages_before_signing_in_ask_the_database_for_nothing(path: str) -> None:
    with CaptureQueriesContext(connection) as ran:
        assert Visitor().get(path).status_code == 200
    assert [each["sql"] for each in ran] == []


def test_name_zone_and_mails_are_kept() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    assert visitor.post("/account/", {"name": "Grace", "time_zone": "Asia/Tokyo"}).status_code == 302
    user = User.objects.get(pk=ada.user.pk)
    assert (user.name, user.time_zone, user.wants_mail) == ("Grace", "Asia/Tokyo", False)
    assert "Saved." in visitor.get("/account/").content.decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x" * 81},
        {"name": "a\nb"},
        {"name": "a\x00b"},
        {"name": "\u202eevil"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": ""},
        {"time_zone": "\x00"},
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_kept(wrong: dict[str, str]) -> None:
    ada = make_person()
    answer = signed_in(ada).post("/account/", PROFILE | wrong)
    assert answer.status_code == 400
    user = User.objects.get(pk=ada.user.pk)
    assert (user.name, user.time_zone) == (ada.user.name, "UTC")


def test_nothing_but_these_fields_can_be_set() -> None:
    ada = make_person()
    signed_in(ada).post("/account/", PROFILE | {"is_staff": "on", "is_superuser": "on", "email": "eve@example.com"})
    user = User.objects.get(pk=ada.user.pk)
    assert (user.is_staff, user.is_superuser, user.email) == (False, False, ada.user.email)


def test_a_hostile_name_is_text_everywhere() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    visitor.post("/account/", PROFILE | {"name": "<script>alert(1)</script>"})
    for path in (*PAGES, ada.home):
        assert "<script>alert" not in visitor.get(path).content.decode(), path


def test_times_are_shown_in_the_persons_own_zone() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    visitor.post("/account/", PROFILE | {"time_zone": "Asia/Kathmandu"})
    assert "+05:45" in visitor.get("/accounts/sessions/").content.decode()


def test_every_zone_of_the_list_is_one() -> None:
    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"} <= time_zones()
    assert not any(zone.startswith(("Etc/", "posix", "SystemV")) for zone in time_zones())


def test_the_zone_that_is_chosen_is_selected_and_it_alone() -> None:
    visitor = signed_in(make_person())
    visitor.post("/account/", PROFILE)
    page = visitor.get("/account/").content.decode()
    assert page.count(" selected>") == 1
    assert '<option value="Europe/Berlin" selected>Berlin</option>' in page
    refused = visitor.post("/account/", PROFILE | {"time_zone": '"><script>alert(1)</script>'}).content.decode()
    assert "<script>alert" not in refused
    assert refused.count("<option") == len(time_zones())


def test_the_workspaces_are_listed_with_the_role_in_each(make_workspace: MakeWorkspace) -> None:
    ada = make_person()
    other = make_workspace(name="other").workspace
    Member.objects.create(user=ada.user, workspace=other, role="viewer")
    page = signed_in(ada).get("/account/workspaces/").content.decode()
    assert ada.workspace.name in page
    assert other.name in page
    assert "Viewer" in page


def test_a_person_without_a_workspace_is_told_so() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    ada.member.delete()
    assert "You are in no workspace" in visitor.get("/w/").content.decode()
    assert "You are in no workspace" in visitor.get("/account/workspaces/").content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_an_account_run_no_script_of_their_own(path: str) -> None:
    page = signed_in(make_person()).get(path).content.decode()
    assert " onclick=" not in page
    assert " style=" not in page
    assert "<script>" not in page
