from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.checks import run_checks

from billing import checks as billing_checks
from crosswire import checks
from tests.support.homes import ROOT, Run
from tests.support.processes import finish

STRONG = "k3Jx9Qv2Lm7Rt5Zw8Yb4Nc6Hd1Fg0Ps-aUeIoXyTzWqMnBvCxLkJh"
PRODUCTION = {
    "PUBLIC_URL": "https://bus.example.com",
    "DATABASE_URL": "postgres://crosswire:secret@db.example.com/crosswire",
    "REDIS_URL": "redis://redis.example.com:6379/0",
    "SECRET_KEY": STRONG,
    "CROSSWIRE_CLOCK_FILE": "",
    "MAIL_HOST": "smtp.example.com",
    "MAIL_FROM": "CrossWire <bus@example.com>",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Settings as a production has them, of which a test spoils one."""
    sound = SimpleNamespace(
        IS_PRODUCTION=True,
        PUBLIC_URL=PRODUCTION["PUBLIC_URL"],
        REDIS_URL=PRODUCTION["REDIS_URL"],
        SECRET_KEY=STRONG,
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"}},
        EXECUTOR_THREADS=8,
        DB_POOL_SIZE=12,
        STRIPE_SECRET_KEY="",
        STRIPE_WEBHOOK_SECRET="",
        STRIPE_API_URL="",
        SMTP=settings.SMTP,
        MAIL_BACKEND=settings.SMTP,
        MAIL_HOST=PRODUCTION["MAIL_HOST"],
        MAIL_FROM=PRODUCTION["MAIL_FROM"],
    )
    monkeypatch.setattr(checks, "settings", sound)
    monkeypatch.setattr(billing_checks, "settings", sound)
    monkeypatch.delenv("CROSSWIRE_CLOCK_FILE", raising=False)
    return sound


def ids() -> list[str | None]:
    found = [*checks.production_settings(None), *checks.sizes(None), *billing_checks.stripe_settings(None)]
    return [each.id for each in found]


# --- each check -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("production")
def test_a_sound_production_has_nothing_to_say() -> None:
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("DATABASES", {"default": {"ENGINE": "django.db.backends.sqlite3"}}, "crosswire.E001"),
        ("REDIS_URL", "", "crosswire.E002"),
        ("PUBLIC_URL", "http://bus.example.com", "crosswire.E003"),
        ("SECRET_KEY", STRONG[:49], "crosswire.E004"),
        ("SECRET_KEY", "abcd" * 20, "crosswire.E004"),
        ("MAIL_HOST", "", "crosswire.E007"),
        ("MAIL_FROM", "", "crosswire.E008"),
        ("DB_POOL_SIZE", 8, "crosswire.E006"),
        ("EXECUTOR_THREADS", 0, "crosswire.E006"),
        ("STRIPE_SECRET_KEY", "sk_live_x", "billing.E001"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_x", "billing.E001"),
        ("STRIPE_API_URL", "http://stripe.example.com", "billing.E003"),
    ],
)
def test_what_production_cannot_work_with_is_named(
    production: SimpleNamespace, name: str, value: object, found: str
) -> None:
    setattr(production, name, value)
    assert ids() == [found]


@pytest.mark.parametrize("key", ["sk_test_x", "rk_test_x"])
def test_a_test_key_for_payments_has_no_place_in_production(production: SimpleNamespace, key: str) -> None:
    production.STRIPE_SECRET_KEY, production.STRIPE_WEBHOOK_SECRET = key, "whsec_x"
    assert ids() == ["billing.E002"]
    production.IS_PRODUCTION = False
    assert ids() == []


@pytest.mark.usefixtures("production")
def test_a_clock_that_is_moved_has_no_place_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSWIRE_CLOCK_FILE", "/tmp/clock")  # noqa: S108 - never opened
    assert ids() == ["crosswire.E005"]


def test_on_this_machine_alone_the_defaults_are_fine() -> None:
    assert settings.IS_PRODUCTION is False
    assert run_checks() == []


# --- as an operator meets them ----------------------------------------------------------------------------------


def started(run: Run, *command: str, **variables: str) -> tuple[int, str]:
    """Run a program with these variables over the test's own; return its exit code and what it said."""
    environment = {**run.home.environment(), "CROSSWIRE_VAR": str(run.home.folder / "other"), **variables}
    done = finish([sys.executable, *command], 60, env=environment, cwd=ROOT)
    return done.returncode, done.stderr + done.stdout


def check(run: Run, variables: Mapping[str, str]) -> tuple[int, str]:
    return started(run, "manage.py", "check", "--deploy", "--fail-level", "WARNING", **variables)


def test_production_settings_pass_the_deployment_check_without_a_warning(run: Run) -> None:
    code, said = check(run, PRODUCTION)
    assert code == 0, said


def test_everything_that_is_wrong_is_named_at_once(run: Run) -> None:
    code, said = check(
        run,
        {
            "PUBLIC_URL": "http://bus.example.com",
            "DATABASE_URL": f"sqlite:///{run.home.folder / 'other' / 'x.db'}",
            "REDIS_URL": "",
            "SECRET_KEY": "short",
            "CROSSWIRE_CLOCK_FILE": "/nowhere",
            "DB_POOL_SIZE": "4",
            "STRIPE_SECRET_KEY": "sk_test_x",
        },
    )
    assert code != 0
    expected = [*(f"crosswire.E00{number}" for number in range(1, 9)), "billing.E001", "billing.E002"]
    assert [each for each in expected if each not in said] == [], said
    assert "sk_test_x" not in said, "no secret is repeated"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"PUBLIC_URL": "bus.example.com"}, "PUBLIC_URL='bus.example.com'"),
        ({"PORT": "http"}, "PORT='http'"),
        ({"PUBLIC_URL": "https://bus.example.com", "SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY_FILE": "/nowhere/secret"}, "SECRET_KEY_FILE=/nowhere/secret"),
        ({"DATABASE_URL": "mysql://user:secret@host/name"}, "DATABASE_URL"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL"),
        ({"EXECUTOR_THREADS": "many"}, "EXECUTOR_THREADS"),
        ({"CLIENT_CEILINGS": "codex"}, "CLIENT_CEILINGS"),
        ({"CLIENT_CEILINGS": "codex=100,=5"}, "CLIENT_CEILINGS"),
        ({"CLIENT_CEILINGS": "codex=0"}, "CLIENT_CEILINGS"),
        ({"CLIENT_CEILINGS": "codex=3601"}, "CLIENT_CEILINGS"),
        ({"EXECUTOR_THREADS": "-1"}, "EXECUTOR_THREADS='-1'"),
        ({"API_LANE": "perhaps"}, "API_LANE='perhaps'"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL='LOUD'"),
        ({"DEMO_PAYMENTS": "true", "PUBLIC_URL": "https://bus.example.com"}, "DEMO_PAYMENTS"),
        ({"DEMO_PAYMENTS": "true", "STRIPE_SECRET_KEY": "sk_live_x"}, "DEMO_PAYMENTS"),
        ({"MAIL_OPTIONS": "user:secret"}, "MAIL_OPTIONS"),
        ({"MAIL_OPTIONS": "[1]"}, "MAIL_OPTIONS"),
        ({"MAIL_HOST": "localhost", "MAIL_TLS": "yes"}, "MAIL_TLS='YES'"),
        ({"MAIL_HOST": "localhost", "MAIL_PORT": "smtp"}, "MAIL_PORT='smtp'"),
    ],
)
def test_a_bad_value_stops_the_start_and_is_named(run: Run, variables: dict[str, str], named: str) -> None:
    code, said = started(run, "-c", "import crosswire.settings", **variables)
    assert code != 0
    assert named in said.splitlines()[-1], said
    assert "user:secret" not in said


def test_on_defaults_a_secret_is_made_and_kept_private(run: Run, tmp_path: Path) -> None:
    program = "from crosswire import settings; print(settings.SECRET_KEY)"
    first = started(run, "-c", program, SECRET_KEY="", CROSSWIRE_VAR=str(tmp_path / "var"))
    assert first[0] == 0, first[1]
    assert len(first[1].strip()) >= 50
    assert started(run, "-c", program, SECRET_KEY="", CROSSWIRE_VAR=str(tmp_path / "var")) == first
    assert (tmp_path / "var" / "secret_key").stat().st_mode & 0o777 == 0o600
