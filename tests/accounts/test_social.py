"""Google and GitHub, as far as this side goes: a stub stands in for theirs."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Client, OAuth2Error
from pytest_django.fixtures import Settings

from accounts.here import FIRST_KEY
from accounts.models import User, Workspace
from tests.support.mails import code_for, mails_to
from tests.support.people import make_person
from tests.support.visitors import CONFIRM, Visitor, new_address, signed_in

LOGIN, CALLBACK, LINKED = "/accounts/github/login/", "/accounts/github/login/callback/", "/accounts/3rdparty/"


@pytest.fixture
def configured(settings: Settings) -> None:
    app = {"client_id": "the-id", "secret": "the-secret", "key": ""}
    settings.SOCIALACCOUNT_PROVIDERS = {
        "google": {"APPS": [app], "OAUTH_PKCE_ENABLED": True},
        "github": {"APPS": [app], "SCOPE": ["read:user", "user:email"]},
    }


class GitHub:
    """What the stub says of whoever comes back from it."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"id": 1, "login": "ada", "name": "Ada Jones"}
        self.emails: list[dict[str, Any]] = []
        self.is_down = False

    def becomes(self, number: int, email: str, *, verified: bool = True, name: str = "Ada Jones") -> None:
        self.person = {"id": number, "login": f"ada{number}", "name": name}
        self.emails = [{"email": email, "verified": verified, "primary": True}]


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch, configured: None) -> GitHub:
    stub = GitHub()

    def token(self: OAuth2Client, code: str, pkce_code_verifier: str | None = None) -> dict[str, str]:
        if stub.is_down or code != "good":
            raise OAuth2Error("no")
        return {"access_token": "a-token"}

    def complete(self: Any, request: Any, app: Any, token: Any, **rest: Any) -> Any:
        return self.get_provider().sociallogin_from_response(request, {**stub.person, "emails": stub.emails})

    monkeypatch.setattr(OAuth2Client, "get_access_token", token)
    monkeypatch.setattr(GitHubOAuth2Adapter, "complete_login", complete)
    return stub


def come_back(visitor: Visitor, code: str = "good", process: str = "login") -> Any:
    """Go to GitHub and come back with a code."""
    away = visitor.post(f"{LOGIN}?process={process}")
    state = parse_qs(urlsplit(away["Location"]).query)["state"][0]
    return visitor.get(CALLBACK, {"code": code, "state": state})


_numbers = iter(range(1000, 100_000))


# --- not configured ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/"])
def test_without_a_configuration_there_is_no_button(path: str) -> None:
    assert "Continue with" not in Visitor().get(path).content.decode()


@pytest.mark.parametrize(
    "path",
    [LOGIN, CALLBACK, "/accounts/google/login/", "/accounts/google/login/callback/", "/accounts/google/login/token/"],
)
def test_without_a_configuration_their_addresses_lead_nowhere(path: str) -> None:
    assert Visitor().get(path).status_code in {403, 404, 405}
    assert Visitor().post(path).status_code in {403, 404}


# --- configured -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("configured")
def test_the_buttons_are_forms_and_lead_there() -> None:
    page = Visitor().get("/accounts/login/").content.decode()
    assert "Continue with Google" in page
    assert "Continue with GitHub" in page
    away = urlsplit(Visitor().post(LOGIN)["Location"])
    asked = parse_qs(away.query)
    assert (away.hostname, asked["client_id"]) == ("github.com", ["the-id"])
    assert sorted(asked["scope"][0].split()) == ["read:user", "user:email"]
    assert urlsplit(asked["redirect_uri"][0]).path == CALLBACK
    google = parse_qs(urlsplit(Visitor().post("/accounts/google/login/")["Location"]).query)
    assert google["code_challenge_method"] == ["S256"]


@pytest.mark.usefixtures("configured")
def test_a_link_alone_begins_nothing() -> None:
    answer = Visitor().get(LOGIN)
    assert answer.status_code == 200
    assert "Continue with GitHub" in answer.content.decode()


def test_somebody_new_gets_a_workspace_as_with_a_password(github: GitHub) -> None:
    email, visitor = new_address(), Visitor()
    github.becomes(next(_numbers), email)
    landed = come_back(visitor)
    [workspace] = Workspace.objects.filter(members__user__email=email)
    assert landed["Location"].startswith(f"/w/{workspace.slug}/")
    assert workspace.name == "Ada's workspace"
    assert visitor.session[FIRST_KEY] is True
    user = User.objects.get(email=email)
    assert user.name == "Ada Jones"
    assert not user.has_usable_password()


def test_the_second_time_it_is_the_same_account(github: GitHub) -> None:
    github.becomes(next(_numbers), email := new_address())
    come_back(Visitor())
    assert come_back(Visitor())["Location"] == "/w/"
    assert User.objects.filter(email=email).count() == 1
    assert Workspace.objects.filter(members__user__email=email).count() == 1


def test_an_address_they_did_not_confirm_takes_a_code(github: GitHub) -> None:
    github.becomes(next(_numbers), email := new_address(), verified=False)
    visitor = Visitor()
    assert come_back(visitor)["Location"] == CONFIRM
    assert not visitor.is_signed_in
    assert visitor.confirm(code_for(email)).status_code == 302
    assert Workspace.objects.filter(members__user__email=email).count() == 1


@pytest.mark.parametrize("verified", [True, False])
def test_an_address_that_has_an_account_does_not_open_it(github: GitHub, verified: bool) -> None:
    ada, visitor = make_person(), Visitor()
    github.becomes(next(_numbers), ada.user.email, verified=verified)
    come_back(visitor)
    assert not visitor.is_signed_in
    assert not SocialAccount.objects.filter(user=ada.user).exists()
    assert mails_to(ada.user.email)[-1].subject == "You already have a CrossWire account"


def test_a_hostile_name_is_cut_to_one_line(github: GitHub) -> None:
    github.becomes(next(_numbers), email := new_address(), name="A\u202e\nda\x00" + "x" * 500)
    come_back(Visitor())
    user = User.objects.get(email=email)
    assert user.name == "Ada" + "x" * 77
    assert set(SocialAccount.objects.get(user=user).extra_data) <= {"login", "name", "email"}, "nothing else is kept"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"code": "good"},
        {"code": "good", "state": "forged"},
        {"error": "access_denied", "state": "forged"},
        {"code": "x" * 5000, "state": "\x00"},
    ],
)
def test_coming_back_without_having_gone_signs_nobody_in(github: GitHub, query: dict[str, str]) -> None:
    visitor = Visitor()
    answer = visitor.get(CALLBACK, query)
    assert answer.status_code == 401
    assert "Not signed in" in answer.content.decode()
    assert not visitor.is_signed_in


def test_a_code_they_do_not_know_signs_nobody_in(github: GitHub) -> None:
    visitor = Visitor()
    assert "Not signed in" in come_back(visitor, "bad").content.decode()
    assert not visitor.is_signed_in


# --- linking ----------------------------------------------------------------------------------------------------


def test_an_account_is_linked_used_and_unlinked(github: GitHub) -> None:
    ada = make_person()
    visitor = signed_in(ada)
    visitor.confirm_password()
    github.becomes(next(_numbers), new_address())
    come_back(visitor, process="connect")
    account = SocialAccount.objects.get(user=ada.user)
    assert "Unlink" in visitor.get(LINKED).content.decode()
    other = Visitor()
    assert come_back(other)["Location"] == "/w/"
    assert other.is_signed_in
    visitor.post(LINKED, {"account": account.pk})
    assert not SocialAccount.objects.filter(user=ada.user).exists()
    assert [mail.subject for mail in mails_to(ada.user.email)] == [
        "Account linked to your CrossWire account",
        "Account unlinked from your CrossWire account",
    ]


def test_nobody_elses_account_is_unlinked(github: GitHub) -> None:
    github.becomes(next(_numbers), new_address())
    come_back(Visitor())
    account = SocialAccount.objects.latest("pk")
    eve = signed_in(make_person(name="Eve"))
    eve.confirm_password()
    eve.post(LINKED, {"account": account.pk})
    assert SocialAccount.objects.filter(pk=account.pk).exists()


def test_the_only_way_in_cannot_be_unlinked(github: GitHub) -> None:
    github.becomes(next(_numbers), new_address())
    visitor = Visitor()
    come_back(visitor)
    account = SocialAccount.objects.latest("pk")
    assert visitor.post(LINKED, {"account": account.pk}).status_code == 200
    assert SocialAccount.objects.filter(pk=account.pk).exists()
