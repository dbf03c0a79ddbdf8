"""How mail goes out, and what happens where it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from pytest_django.fixtures import Settings

from accounts.models import User
from crosswire.lib.mail import KEPT
from tests.support.homes import ROOT, Run
from tests.support.mails import code_in
from tests.support.people import PASSWORD, make_person
from tests.support.visitors import Visitor, new_address, signed_in

TEXTS = sorted(
    path for app in ("account", "mfa", "socialaccount") for path in (ROOT / "templates" / app / "email").glob("*.txt")
)


@pytest.fixture
def printed(settings: Settings, tmp_path: Path) -> Path:
    """Mail is printed, as on defaults; the folder where it is kept."""
    settings.MAILERS = {"default": {"BACKEND": settings.TERMINAL, "OPTIONS": {"folder": str(tmp_path / "mail")}}}
    return tmp_path / "mail"


def test_a_code_is_found_in_the_terminal_and_in_the_folder(printed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    email, visitor = new_address(), Visitor()
    visitor.sign_up(email)
    [kept] = printed.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    code = code_in(kept.read_text(encoding="utf-8"))
    shown = capsys.readouterr().out
    assert f"│     {code}\n" in shown
    assert f"│ To: {email}\n" in shown
    assert "Content-Type" not in shown
    assert visitor.confirm(code).status_code == 302


def test_the_folder_keeps_the_newest(printed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(KEPT + 5):
        EmailMessage(f"number {number}", "text", to=["ada@example.com"]).send()
    kept = sorted(printed.iterdir())
    assert len(kept) <= KEPT
    assert f"number {KEPT + 4}" in kept[-1].read_text(encoding="utf-8")


def test_where_mail_is_sent_nobody_is_pointed_to_a_terminal(settings: Settings) -> None:
    settings.MAIL_BACKEND = settings.SMTP
    visitor = Visitor()
    visitor.sign_up(new_address())
    assert "sends no mail" not in visitor.get("/accounts/confirm-email/").content.decode()


# --- a mail server that is away ---------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: EmailBackend, messages: list[EmailMessage]) -> int:
        raise ConnectionRefusedError("no mail server")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)


def test_without_a_mail_server_signing_up_says_so_and_can_be_gone_on_with(
    broken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    email, visitor = new_address(), Visitor()
    answer = visitor.sign_up(email)
    assert answer.status_code == 503
    assert "No mail could be sent" in answer.content.decode()
    assert User.objects.filter(email=email).exists()


@pytest.mark.usefixtures("broken")
def test_without_a_mail_server_a_known_and_an_unknown_address_are_told_alike() -> None:
    answers = {
        (
            Visitor().post("/accounts/password/reset/", {"email": email}).status_code,
            Visitor().sign_up(email).status_code,
        )
        for email in (make_person().user.email, new_address())
    }
    assert answers == {(503, 503)}


@pytest.mark.usefixtures("broken")
def test_news_of_an_account_that_cannot_be_mailed_stop_nothing() -> None:
    ada = make_person()
    fields = {"oldpassword": PASSWORD, "password1": "another-horse-battery-7", "password2": "another-horse-battery-7"}
    assert signed_in(ada).post("/accounts/password/change/", fields).status_code == 302
    assert Visitor().sign_in(ada.user.email, "another-horse-battery-7").status_code == 302


# --- texts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_text_is_plain_and_short(path: Path) -> None:
    text = re.sub(r"\{%.*?%\}", "", path.read_text(encoding="utf-8"))
    assert "<" not in text
    assert len(text) < 900
    if path.stem.endswith("_subject"):
        assert len(text.strip()) <= 78
        assert "\n" not in text.strip()


def test_no_text_of_allauth_is_left() -> None:
    import allauth  # noqa: PLC0415 - for where it lies

    theirs = Path(str(allauth.__file__)).parent / "templates"
    for app in ("account", "mfa", "socialaccount", "usersessions"):
        names = {
            str(path.relative_to(theirs))
            for path in (theirs / app).rglob("*.txt")
            if not path.stem.startswith(("email_confirm_", "password_reset_key_", "phone_", "download"))
        }
        assert sorted(name for name in names if not (ROOT / "templates" / name).is_file()) == []


def test_what_a_visitor_types_begins_no_header() -> None:
    Visitor().sign_up("ada@example.com\nBcc: eve@example.com")
    assert mail.outbox == []


def test_a_production_with_a_provider_needs_no_mail_host(run: Run) -> None:
    from tests.crosswire.test_checks import PRODUCTION, check  # noqa: PLC0415 - what a sound production is stands there

    code, said = check(
        run,
        {
            **PRODUCTION,
            "MAIL_HOST": "",
            "MAIL_BACKEND": "anymail.backends.postmark.EmailBackend",
            "MAIL_OPTIONS": '{"server_token": "secret-token"}',
        },
    )
    assert code == 0, said


@pytest.mark.parametrize("domain", [f"{'ü' * 60}.example", f"{'ü' * 40}.{'ä' * 63}.example"])
def test_an_address_that_no_mail_can_carry_is_refused_and_breaks_nothing(domain: str) -> None:
    visitor, email = Visitor(), f"a@{domain}"
    visitor.sign_up(email)
    assert not User.objects.filter(email=email).exists()
    assert visitor.post("/accounts/password/reset/", {"email": email}).status_code < 500
    assert visitor.post("/accounts/login/", {"login": email, "password": PASSWORD}).status_code < 500
    client = make_person().client()
    assert client.post("/accounts/email/", {"email": email, "action_add": ""}).status_code < 500
