"""Where demo payments may be: on this machine alone, and never for pages of somebody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from billing.demo import mounting
from tests.support import loopback
from tests.support.stripe_fake import StripeFake, running

ELSEWHERE = [
    {"IS_PRODUCTION": True},
    {"STRIPE_SECRET_KEY": "sk_test_real"},
    {"DEMO_PAYMENTS": False},
]


@pytest.fixture(scope="module")
def fake() -> Iterator[StripeFake]:
    with running() as fake:
        yield fake


@pytest.mark.parametrize("changed", ELSEWHERE, ids=str)
def test_demo_payments_are_refused_elsewhere(settings: Settings, changed: dict[str, object]) -> None:
    assert mounting.is_allowed()
    for name, value in changed.items():
        setattr(settings, name, value)
    assert not mounting.is_allowed()
    for forbidden in (mounting.mount, mounting.connection):
        with pytest.raises(ImproperlyConfigured, match="this machine alone"):
            forbidden()


def test_the_product_finds_the_key_and_the_address(settings: Settings) -> None:
    one = mounting.connection()
    assert mounting.connection() == one
    assert one.key.startswith("sk_test_")
    assert one.webhook_secret.startswith("whsec_")
    assert one.api_url == f"http://127.0.0.1:{settings.PORT}/demo/stripe"
    assert mounting.state_file().stat().st_mode & 0o777 == 0o600


def test_a_server_that_was_not_started_by_run_has_no_demo(lane_url: str) -> None:
    for path in ("/demo/stripe/demo/", "/demo/stripe/v1/customers"):
        assert loopback.get(f"{lane_url}{path}").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_another_name_for_this_machine_reaches_no_page(fake: StripeFake, host: str) -> None:
    for path in ("/demo/", "/demo/state", "/checkout/cs_test_x"):
        assert fake.browser.get(f"{fake.url}{path}", headers={"Host": host}).status_code == 400
    assert fake.browser.post(f"{fake.url}/demo/advance", json={"days": 1}, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_pages_of_others_move_nothing(fake: StripeFake, headers: dict[str, str]) -> None:
    before = fake.state()["offset"]
    form = fake.browser.post(f"{fake.url}/demo/", data={"do": "month"}, headers=headers)
    program = fake.browser.post(f"{fake.url}/demo/advance", json={"days": 31}, headers=headers)
    assert (form.status_code, program.status_code) == (403, 403)
    assert fake.state()["offset"] == before


def test_our_own_page_moves_time(fake: StripeFake) -> None:
    before = fake.state()["offset"]
    ours = {"Origin": fake.url, "Sec-Fetch-Site": "same-origin"}
    answer = fake.browser.post(f"{fake.url}/demo/", data={"do": "day"}, headers=ours)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{fake.url}/demo/?done=day")
    assert fake.state()["offset"] == before + 86_400


def test_a_form_cannot_pass_for_json_and_reading_changes_nothing(fake: StripeFake) -> None:
    assert fake.browser.post(f"{fake.url}/demo/advance", data={"days": "1"}).status_code == 400
    assert fake.browser.get(f"{fake.url}/demo/advance").status_code == 405
    assert fake.browser.post(f"{fake.url}/demo/state", json={}).status_code == 405
    broken = fake.browser.post(f"{fake.url}/demo/advance", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400
    assert fake.browser.post(f"{fake.url}/demo/nothing", json={}).status_code == 404
    assert fake.browser.post(f"{fake.url}/demo/advance", json={"days": -1}).status_code == 400
    assert fake.browser.post(f"{fake.url}/demo/", data={"do": "everything"}).status_code == 404


def test_an_endless_request_is_cut_short(fake: StripeFake) -> None:
    assert fake.browser.post(f"{fake.url}/v1/customers", content=b"a=" + b"b" * 300_000).status_code == 413


def test_pages_run_nothing_and_are_framed_by_nobody(fake: StripeFake) -> None:
    answer = fake.browser.get(f"{fake.url}/demo/")
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
