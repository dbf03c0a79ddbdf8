"""The pages about a workspace's plan and payments, without JavaScript: what they say, and what their buttons do."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import pytest
from pytest_django.fixtures import Settings

from accounts import plan_changes, services
from accounts.models import Member, Workspace
from accounts.plans import upgrade_url
from billing import grace
from billing.leading import STRIPE
from billing.models import Customer, Happening, Subscription
from tests.billing.payer import Payer
from tests.billing.reading import fail_renewal, followed, said, send
from tests.conftest import Clock, MakeWorkspace
from tests.support import pages
from tests.support.cast import Caller
from tests.support.hostile import HOSTILE, assert_inert
from tests.support.mails import code_for
from tests.support.messages import use_up
from tests.support.people import Person, make_person
from tests.support.sites import stranger
from tests.support.stripe_fake import StripeFake
from tests.support.visitors import CONFIRM, Visitor, new_address

# --- what the page says -----------------------------------------------------------------------------------------


def test_a_workspace_on_free_is_offered_the_larger_plans(payer: Payer) -> None:
    text = said(payer)
    assert "Free for as long as you like, and nothing is charged." in text
    assert "Upgrade to Starter" in text
    assert "Upgrade to Pro" in text
    assert "$9 a month" in text
    assert "Cancel the subscription" not in text
    assert "$90 a year: 2 months free" in said(payer, "?interval=year")


def test_what_is_used_stands_against_each_quota(payer: Payer) -> None:
    workspace = payer.workspace
    use_up(Caller("", workspace), 42)
    text = said(payer)
    assert "Messages this month 42 of 100" in text
    assert "Channels 1 of 3" in text
    assert "Shared data 0 bytes of 1 MB" in text


def test_a_subscription_shows_price_next_invoice_card_invoices_and_history(payer: Payer) -> None:
    payer.subscribe("pro", "year")
    page = pages.shown(payer.person, "billing")
    text = pages.text_of(page)
    assert "Renews by itself on" in text
    assert "paid yearly" in text
    assert re.search(r"Next invoice \$290\.00 on \d+ \w+", text)
    assert "Visa ending in 4242" in text
    assert re.search(r"Paid \$290\.00 View", text)
    assert "Pro, paid yearly, began" in text
    invoice = payer.standing.invoices[0]
    assert f'href="{invoice.hosted_url}"' in page
    assert f'href="{invoice.pdf_url}"' in page


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
def test_who_may_not_pay_sees_the_plan_and_who_may_and_nothing_of_payments(payer: Payer, role: str) -> None:
    payer.subscribe()
    other = make_person(payer.workspace, role, "Bob Stone")
    text = pages.said(other, "billing")
    assert "Your plan Pro $29.00 a month Active" in text
    assert "The plan can be changed by Ada Jones." in text
    for secret in ("4242", "Invoices", "History Paid", "Upgrade to", "Cancel the subscription"):
        assert secret not in text


def test_the_page_stands_while_stripe_is_away(payer: Payer) -> None:
    payer.subscribe()
    payer.stripe.outage("refuse")
    text = said(payer)
    assert "Stripe does not tell the amount just now" in text
    assert "Visa ending in 4242" in text
    answer = send(payer, "cancel")
    assert answer.status_code == 503
    assert "whether it was done" in answer.content.decode(), "it may have been, when it was the answer that got lost"
    assert "Nothing was changed" not in answer.content.decode()
    payer.stripe.outage("")


def test_a_failed_payment_says_until_when_and_leads_to_paying(payer: Payer) -> None:
    payer.subscribe("pro")
    fail_renewal(payer)
    page = pages.shown(payer.person, "billing")
    text = pages.text_of(page)
    assert "Payment failed" in text
    assert re.search(r"A payment failed. Pro goes on until \d+ \w+", text)
    assert "Pay $29.00 now" in text
    assert "Change the card" in text
    assert payer.standing.open_invoice is not None
    assert f'href="{payer.standing.open_invoice.hosted_url}"' in page
    assert "Upgrade to" not in text, "who owes changes nothing else"
    assert re.search(r"A payment failed: Pro goes on until .*Pay, or change the card", pages.said(payer.person, "keys"))
    member = make_person(payer.workspace, "member")
    assert re.search(r"A payment failed: Pro goes on until .*Who can pay", pages.said(member, "keys"))


def test_a_payment_that_did_not_come_says_what_is_in_force_and_how_it_comes_back(payer: Payer, clock: Clock) -> None:
    payer.subscribe("pro")
    fail_renewal(payer)
    clock.forward(days=7, hours=1)
    grace.keep()
    text = said(payer)
    assert "Your plan Free Payment missing" in text
    assert "The payment for Pro did not come, so the workspace is on Free. Nothing was deleted." in text
    assert "Pay $29.00 now" in text
    assert "History older than 7 days is kept until" in text
    banners = pages.said(payer.person, "keys")
    assert "The payment for Pro did not come: the workspace is on Free until it does." in banners
    assert "The subscription ends at once" in said(payer, "/cancel")
    payer.stripe.recover()
    payer.stripe.settle()
    assert "Your plan Pro $29.00 a month Active" in said(payer)


def test_a_subscription_that_is_paused_at_stripe_says_so(payer: Payer) -> None:
    payer.subscribe()
    Subscription.objects.filter(customer=payer.customer).update(status="paused")
    text = said(payer)
    assert "Paused The subscription is paused at Stripe" in text
    assert "Renews by itself" not in text
    assert "Upgrade to" not in text


def test_where_no_payments_are_taken_the_page_says_so(payer: Payer, settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY, settings.IS_PRODUCTION = "", True
    settings.OPERATOR_EMAIL = "ops@example.com"
    page = pages.shown(payer.person, "billing")
    assert "This installation takes no payments." in pages.text_of(page)
    assert "mailto:ops@example.com" in page
    assert "Upgrade to" not in pages.text_of(page)


def test_a_plan_that_was_given_costs_nothing(payer: Payer) -> None:
    plan_changes.set_plan(payer.workspace, "unlimited")
    text = said(payer)
    assert "Given by whoever runs this installation. Nothing is charged for it." in text
    assert "Upgrade to" not in text


def test_pretended_payments_are_marked_on_every_page(settings: Settings, make_workspace: MakeWorkspace) -> None:
    settings.STRIPE_SECRET_KEY = ""
    ada = make_person(make_workspace("free").workspace)
    for page in ("billing", "billing/change?plan=starter"):
        assert "Demo payments. No money moves here" in pages.said(ada, page)


def test_a_suspended_workspace_shows_the_page_and_can_be_cancelled(payer: Payer) -> None:
    payer.subscribe()
    services.suspend(payer.workspace, "spam")
    text = said(payer)
    assert "This workspace is suspended: spam." in text
    assert "Suspended" in text
    assert "charged on until its subscription is cancelled" in text
    assert "Upgrade to" not in text
    assert "Cancelled: the subscription ends on" in followed(payer, "cancel")


def test_who_deletes_a_workspace_is_told_that_it_is_paid_for(payer: Payer) -> None:
    assert "subscription" not in pages.said(payer.person, "settings/delete").lower()
    payer.subscribe()
    assert "Subscription, which ends at once and is not paid back 1" in pages.said(payer.person, "settings/delete")


# --- where links lead -------------------------------------------------------------------------------------------


def test_the_plain_address_leads_to_the_workspace_seen_last(make_two: tuple[Person, Person]) -> None:
    first, second = make_two
    client = first.client()
    assert client.get("/billing")["Location"] == f"{first.home}billing"
    client.get(second.home)
    assert client.get("/billing")["Location"] == f"{second.home}billing"
    chosen = f"{second.home}billing/change?plan=pro&interval=year"
    assert client.get("/billing?plan=pro&interval=year")["Location"] == chosen
    assert client.get("/billing?plan=gold")["Location"] == f"{second.home}billing"


@pytest.fixture
def make_two() -> tuple[Person, Person]:
    """One person in two workspaces."""
    ada = make_person()
    other = make_person(name="Bob Stone")
    return ada, Person(ada.user, Member.objects.create(workspace=other.workspace, user=ada.user, role="owner"))


def test_a_stranger_signs_in_first_and_gets_there(payer: Payer) -> None:
    for path in ("/billing?plan=pro", f"{payer.person.home}billing"):
        assert stranger().get(path)["Location"] == f"/accounts/login/?next={quote(path, safe='/')}"


def test_who_chose_a_plan_before_signing_up_comes_to_it_afterwards(stripe: StripeFake) -> None:
    chosen, visitor, email = "/billing?plan=pro&interval=year", Visitor(), new_address()
    page = visitor.get(f"/accounts/signup/?next={quote(chosen, safe='')}").content.decode()
    assert f'name="next" value="{chosen.replace("&", "&amp;")}"' in page
    visitor.sign_up(email, next=chosen)
    landed = visitor.post(CONFIRM, {"code": code_for(email), "next": chosen}, follow=True)
    assert "Pro, $290 a year" in pages.text_of(landed.content.decode())


def test_the_address_in_refusals_is_the_page(payer: Payer) -> None:
    assert urlsplit(upgrade_url(payer.workspace.slug)).path == f"{payer.person.home}billing"
    assert urlsplit(upgrade_url()).path == "/billing"


def test_a_form_may_lead_to_stripes_pages_from_here_alone(settings: Settings, make_workspace: MakeWorkspace) -> None:
    ada = make_person(make_workspace("free").workspace)
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_URL = "sk_live_x", ""
    for page in ("billing", "billing/change?plan=pro"):
        policy = ada.client().get(ada.home + page)["Content-Security-Policy"]
        assert f"form-action 'self' {' '.join(STRIPE)};" in policy
    assert "stripe.com" not in ada.client().get(f"{ada.home}keys")["Content-Security-Policy"]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_what_stripe_says_are_text(payer: Payer, text: str) -> None:
    payer.subscribe()
    Workspace.objects.filter(pk=payer.workspace.pk).update(name=text)
    Customer.objects.filter(pk=payer.customer.pk).update(payment_method=text)
    payer.customer.invoices.update(number=text, status=text[:20])
    Happening.objects.filter(customer=payer.customer).update(details={"plan": text, "amount": 1, "by": text})
    for page in ("billing", "billing/cancel", "billing/change?plan=starter"):
        assert_inert(pages.shown(payer.person, page))
    make_person(payer.workspace, "owner", text)
    assert_inert(pages.shown(make_person(payer.workspace, "viewer"), "billing"))


def test_an_address_of_an_invoice_that_is_none_is_no_link(payer: Payer) -> None:
    payer.subscribe()
    payer.customer.invoices.update(hosted_url="javascript:alert(1)", pdf_url="data:text/html,x")
    assert_inert(page := pages.shown(payer.person, "billing"))
    assert "data:text/html" not in page


def test_a_page_takes_few_statements(payer: Payer) -> None:
    payer.subscribe()
    client = payer.person.client()
    client.get(f"{payer.person.home}billing")
    with pages.counting() as ran:
        client.get(f"{payer.person.home}billing")
    assert len(ran) < pages.QUERIES, "\n".join(ran)
