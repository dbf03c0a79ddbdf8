"""What is still open when a subscription has ended is withdrawn: nobody pays for nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts import closing as accounts_closing
from accounts.models import AuditEvent
from billing import refreshing, subscribing
from tests.billing.payer import Payer
from tests.billing.reading import fail_renewal, said
from tests.support import pages
from tests.support.jobs import Jobs
from tests.support.mails import mails_to


@pytest.fixture
def owing(payer: Payer) -> Payer:
    """Somebody whose renewal was declined just now."""
    payer.subscribe("pro")
    fail_renewal(payer)
    return payer


def give_up(payer: Payer) -> None:
    """Let Stripe give up the payment, and end the subscription."""
    payer.stripe.control("last_retry", then="cancel")
    payer.stripe.advance(days=40)
    payer.stripe.settle()


def at_stripe(payer: Payer) -> list[dict[str, Any]]:
    with payer.stripe.world.lock:
        mine = [each for each in payer.stripe.world.all("invoice") if each["customer"] == payer.customer.stripe_id]
    return sorted(mine, key=lambda each: each["created"])


def pay(payer: Payer, invoice: dict[str, Any]) -> None:
    form = {"number": "4242 4242 4242 4242", "expiry": "12 / 40", "cvc": "123"}
    payer.stripe.browser.post(invoice["hosted_invoice_url"], data=form)


def test_when_stripe_gives_up_the_open_invoice_is_withdrawn(owing: Payer) -> None:
    url = at_stripe(owing)[-1]["hosted_invoice_url"]
    give_up(owing)
    assert (owing.subscription.status, owing.plan) == ("canceled", "free")
    assert at_stripe(owing)[-1]["status"] == "void"
    owing.stripe.recover()
    pay(owing, at_stripe(owing)[-1])
    assert at_stripe(owing)[-1]["amount_paid"] == 0
    page = pages.shown(owing.person, "billing")
    assert f'href="{url}"' not in page
    assert "Void" in page
    assert "Pro ended: the payment did not come" in pages.text_of(page)


def test_who_leaves_while_owing_is_asked_for_nothing_more(owing: Payer) -> None:
    subscribing.cancel(owing.workspace, by=owing.email)
    assert at_stripe(owing)[-1]["status"] == "void"


def test_what_a_deleted_workspace_owes_is_withdrawn(owing: Payer, jobs: Jobs) -> None:
    accounts_closing.close(owing.workspace, actor=owing.email)
    jobs.do()
    assert at_stripe(owing)[-1]["status"] == "void"


def test_an_invoice_that_cannot_be_withdrawn_is_not_offered(owing: Payer) -> None:
    owing.stripe.webhooks(drop=["*"])
    give_up(owing)
    with owing.stripe.world.lock:
        at_stripe(owing)[-1]["status"] = "uncollectible"  # as an operator's books may want it
    refreshing.refresh(owing.customer)
    assert owing.standing.open_invoice is None
    assert f'href="{at_stripe(owing)[-1]["hosted_invoice_url"]}"' not in pages.shown(owing.person, "billing")


def test_a_payment_that_comes_all_the_same_is_recorded_and_the_operator_told(
    owing: Payer, jobs: Jobs, settings: Settings
) -> None:
    settings.OPERATOR_EMAIL = f"ops-{owing.workspace.slug}@example.com"
    owing.stripe.webhooks(drop=["*"])
    give_up(owing)
    owing.stripe.recover()
    pay(owing, at_stripe(owing)[-1])
    refreshing.refresh(owing.customer)
    refreshing.refresh(owing.customer)
    jobs.do()
    assert owing.plan == "free"
    assert "$29.00 was paid though the subscription had ended" in said(owing)
    (mail,) = mails_to(settings.OPERATOR_EMAIL)
    assert "$29.00 was paid though the subscription had ended" in mail.subject
    assert AuditEvent.objects.filter(workspace=owing.workspace, action="billing.paid_late").count() == 1


def test_an_open_invoice_of_a_subscription_that_goes_on_stays(owing: Payer) -> None:
    refreshing.refresh(owing.customer)
    assert at_stripe(owing)[-1]["status"] == "open"
    assert "Pay $29.00 now" in said(owing)


def test_a_deletion_gives_nothing_back_whichever_clock_is_ahead(payer: Payer, jobs: Jobs) -> None:
    payer.stripe.advance(days=10)
    payer.subscribe("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    jobs.do()
    payer.stripe.settle()
    assert payer.subscription.status == "canceled"
    assert payer.stripe.world.all("refund") == []
