"""Choosing a plan on the billing pages: what is said before, what is done, and where one lands."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from pytest_django.fixtures import Settings

from billing import gateway
from tests.billing.payer import Payer
from tests.billing.reading import followed, said, send
from tests.support import pages


def test_who_has_no_subscription_is_led_to_stripe_and_comes_back_with_the_plan(payer: Payer) -> None:
    text = said(payer, "/change?plan=pro&interval=month")
    assert "Pro, $29 a month" in text
    assert "Pro begins the moment you have paid" in text
    answer = send(payer, "change", plan="pro", interval="month")
    assert answer.status_code == 302
    assert answer["Location"].startswith(payer.stripe.url)
    back = urlsplit(payer.stripe.pay(answer["Location"]).headers["Location"])
    page = payer.person.client().get(f"{back.path}?{back.query}", follow=True)
    text = pages.text_of(page.content.decode())
    assert "Thank you. The workspace is on Pro, from this moment on." in text
    assert payer.plan == "pro"


def test_who_gives_up_on_stripes_page_is_where_they_were(payer: Payer) -> None:
    send(payer, "change", plan="pro", interval="month")
    session = payer.stripe.world.all("checkout.session")[-1]
    assert urlsplit(session["cancel_url"]).path == f"{payer.person.home}billing"
    text = pages.text_of(
        payer.person.client()
        .get(f"{payer.person.home}billing/return?session_id={session['id']}", follow=True)
        .content.decode()
    )
    assert "The payment is not there yet" in text
    assert payer.plan == "free"


def test_a_return_while_stripe_is_away_promises_nothing_wrong(payer: Payer) -> None:
    send(payer, "change", plan="pro", interval="month")
    session = payer.stripe.world.all("checkout.session")[-1]["id"]
    payer.stripe.outage("refuse")
    answer = payer.person.client().get(f"{payer.person.home}billing/return?session_id={session}", follow=True)
    assert "If you have paid, the plan comes by itself" in pages.text_of(answer.content.decode())
    payer.stripe.outage("")


@pytest.mark.parametrize("session", ["", "cs_test_of_somebody_else", "x" * 300])
def test_a_return_from_a_page_of_somebody_else_is_refused(payer: Payer, session: str) -> None:
    payer.open_checkout()
    answer = payer.person.client().get(f"{payer.person.home}billing/return?session_id={session}", follow=True)
    assert "There is no such payment." in pages.text_of(answer.content.decode())


def test_an_upgrade_says_what_is_paid_now_and_holds_at_once(payer: Payer) -> None:
    payer.subscribe("starter")
    text = said(payer, "/change?plan=pro&interval=month")
    assert re.search(r"Now you pay \$(19|20)\.\d\d: what is left of Starter is taken off. Paid with Visa", text)
    assert re.search(r"Pay \$(19|20)\.\d\d now", text)
    assert "The workspace is on Pro, paid monthly, from this moment on. Paid: $" in followed(
        payer, "change", plan="pro", interval="month"
    )
    assert payer.plan == "pro"


def test_a_smaller_plan_says_what_it_means_and_comes_when_what_is_paid_is_used_up(payer: Payer) -> None:
    payer.subscribe("pro")
    text = said(payer, "/change?plan=starter&interval=month")
    assert "Pro stays until" in text
    assert "Messages a month 1,000" in text
    assert "History 30 days" in text
    assert "stays for another 30 days, then it goes: export everything" in text
    assert "The plan changes to Starter on" in followed(payer, "change", plan="starter", interval="month")
    text = said(payer)
    assert "Changes soon" in text
    assert re.search(r"Then it becomes Starter, paid monthly\.", text)
    assert re.search(r"Pro becomes Starter on .*Change that", pages.said(payer.person, "keys"))
    assert payer.plan == "pro"
    assert "The change to Starter is dropped: Pro goes on." in said(payer, "/resume")
    assert "Nothing changes: the subscription goes on." in followed(payer, "resume")
    assert "Renews by itself" in said(payer)


def test_a_cancelled_subscription_goes_on_until_its_end_and_can_be_kept(payer: Payer) -> None:
    payer.subscribe("pro")
    text = said(payer, "/cancel")
    assert "Pro stays until" in text
    assert "Messages a month 100" in text
    assert "Cancelled: the subscription ends on" in followed(payer, "cancel")
    text = said(payer)
    assert re.search(r"Pro is paid until .*Then the workspace goes to Free", text)
    assert "Next invoice None" in text
    assert re.search(r"Pro ends on .*; then the workspace goes to Free.*Change that", pages.said(payer.person, "keys"))
    assert "The cancellation is dropped: Pro goes on." in said(payer, "/resume")
    assert "Stay on Pro" in text
    followed(payer, "resume")
    assert payer.standing.cancels_at is None


def test_a_year_instead_of_a_month_is_paid_at_once_and_back_at_the_end(payer: Payer) -> None:
    payer.subscribe("pro")
    assert "Pay Pro yearly" in said(payer, "?interval=year")
    assert "From now on you pay by the year." in said(payer, "/change?plan=pro&interval=year")
    followed(payer, "change", plan="pro", interval="year")
    assert payer.standing.interval == "year"
    assert "Pay Pro monthly" in said(payer, "?interval=month")
    assert "Then you pay by the month." in said(payer, "/change?plan=pro&interval=month")


def test_a_declined_upgrade_says_so_and_changes_nothing(payer: Payer) -> None:
    payer.subscribe("starter")
    payer.stripe.decline()
    answer = send(payer, "change", plan="pro", interval="month")
    assert answer.status_code == 402
    assert "Nothing was changed" in answer.content.decode()
    assert payer.plan == "starter"


def test_the_portal_is_stripes(payer: Payer) -> None:
    payer.subscribe()
    answer = send(payer, "portal")
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{payer.stripe.url}/")


def test_where_stripes_pages_have_a_domain_of_their_own_a_link_leads_there(payer: Payer, settings: Settings) -> None:
    payer.subscribe()
    settings.STRIPE_API_URL = payer.stripe.url.replace("127.0.0.1", "localhost")
    gateway.forget()
    answer = send(payer, "portal")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert f'<a class="button" href="{payer.stripe.url}/' in page
    assert f"The next page is Stripe's, at {urlsplit(payer.stripe.url).netloc}." in pages.text_of(page)


@pytest.mark.parametrize(
    ("path", "lands"),
    [
        ("change?plan=gold", 400),
        ("change?plan=unlimited", 400),
        ("change?plan=free", "cancel"),
        ("change?plan=pro&interval=week", 400),
        ("cancel", "billing"),
        ("resume", "billing"),
    ],
)
def test_what_cannot_be_chosen_leads_back(payer: Payer, path: str, lands: int | str) -> None:
    answer = payer.person.client().get(f"{payer.person.home}billing/{path}")
    if isinstance(lands, int):
        assert answer.status_code == lands
    else:
        assert answer.status_code == 302
        assert urlsplit(answer["Location"]).path.endswith(lands)
