"""Payments that the bank wants its customer to confirm (3-D Secure): an upgrade waits for that, nobody loses by it."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx2
import pytest

from accounts.models import AuditEvent
from billing import gateway, schedules, subscribing
from billing.models import Subscription
from billing.proposals import OutdatedError
from crosswire.lib import clock as product_clock
from crosswire.lib.errors import CrossWireError
from tests.billing.payer import Payer
from tests.billing.reading import said, send
from tests.support import pages
from tests.support.stripe_fake import CONFIRMS, PAYS


@pytest.fixture
def payer(payer: Payer) -> Payer:
    """Somebody on Starter whose bank wants to be asked."""
    return payer.subscribe("starter", number=CONFIRMS)


def confirm(payer: Payer, url: str) -> httpx2.Response:
    """Confirm on Stripe's page of an invoice, and wait until Stripe has told of it."""
    form = {"number": CONFIRMS, "expiry": "12 / 40", "cvc": "123", "do": "pay"}
    answer = payer.stripe.browser.post(url, data=form)
    payer.stripe.settle()
    return answer


def open_invoices(payer: Payer) -> list[int]:
    return [each.total for each in payer.standing.invoices if each.status == "open"]


def test_the_way_up_leads_to_stripes_page_and_the_plan_comes_with_the_confirmation(payer: Payer) -> None:
    payer.stripe.advance(days=15)
    answer = send(payer, "change", plan="pro", interval="month")
    assert answer.status_code == 302
    page = answer["Location"]
    assert urlsplit(page).path.startswith("/invoice/")
    assert f"{urlsplit(page).scheme}://{urlsplit(page).netloc}" in answer["Content-Security-Policy"]
    payer.stripe.settle()
    assert (payer.plan, payer.standing.status, len(open_invoices(payer))) == ("starter", "active", 1)
    assert "Your bank wants you to confirm the payment" in said(payer, "")
    assert "Confirm the payment" in said(payer, "")
    confirm(payer, page)
    assert (payer.plan, payer.standing.status, open_invoices(payer)) == ("pro", "active", [])
    assert 800 < payer.standing.invoices[0].amount_paid < 1_200, "half a month of the difference of $20"
    assert payer.subscription.confirm_until is None
    assert "wants you to confirm" not in said(payer, "")
    assert "upgraded" in payer.kinds()
    asked = AuditEvent.objects.get(workspace=payer.workspace, action="billing.change_asked")
    assert asked.details["when"] == "to_confirm"


def test_without_the_confirmation_nothing_changes_and_nothing_is_owed(payer: Payer) -> None:
    assert payer.change("pro").when == "to_confirm"
    payer.stripe.advance(days=1)
    payer.stripe.settle()
    assert (payer.plan, payer.standing.status, open_invoices(payer)) == ("starter", "active", [])
    assert payer.subscription.confirm_until is None
    assert payer.subscription.grace_until is None
    assert payer.change("pro").when == "to_confirm", "and it can be tried again"


@pytest.mark.parametrize(("plan", "interval"), [("pro", "month"), ("pro", "year"), ("starter", "year")])
def test_while_a_change_waits_nothing_else_is_charged_or_planned(payer: Payer, plan: str, interval: str) -> None:
    before = payer.shown(plan, interval)
    payer.change("pro")
    for shown in (before, payer.shown(plan, interval)):
        with pytest.raises(OutdatedError, match="waits for your bank's confirmation"):
            subscribing.change_plan(payer.workspace, shown, by=payer.email)
    address = f"{payer.person.home}billing/change?plan={plan}&interval={interval}"
    page = pages.text_of(payer.person.client().get(address, follow=True).content.decode())
    assert "Another change waits for your bank's confirmation: give it, or stay on what you have." in page
    assert "Upgrade to Pro" not in page
    assert (payer.plan, len(open_invoices(payer))) == ("starter", 1)


def test_another_card_pays_at_once_after_the_waiting_change_was_given_up(payer: Payer) -> None:
    payer.change("pro")
    portal = subscribing.open_portal(payer.workspace, by=payer.email)
    payer.stripe.browser.post(portal, data={"do": "card", "number": PAYS, "expiry": "12 / 40", "cvc": "123"})
    payer.stripe.settle()
    assert "Stay on Starter" in said(payer, "")
    assert "is given up" in said(payer, "/resume")
    assert send(payer, "resume").status_code == 302
    payer.stripe.settle()
    assert (open_invoices(payer), payer.subscription.confirm_until) == ([], None)
    assert payer.change("pro").when == "now"
    assert (payer.plan, open_invoices(payer)) == ("pro", [])


def test_who_cancels_gives_it_up(payer: Payer) -> None:
    payer.change("pro")
    assert subscribing.cancel(payer.workspace, by=payer.email) is not None
    payer.stripe.settle()
    assert (payer.plan, open_invoices(payer), payer.subscription.confirm_until) == ("starter", [], None)


def test_what_is_confirmed_just_now_cannot_be_given_up(payer: Payer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a second tab, where the page of a moment ago is."""
    url = payer.change("pro").url
    give_up = schedules.give_up

    def too_late(now: Subscription) -> None:
        confirm(payer, url)
        give_up(now)

    monkeypatch.setattr(schedules, "give_up", too_late)
    with pytest.raises(OutdatedError, match="has your confirmation just now"):
        subscribing.cancel(payer.workspace, by=payer.email)
    assert (payer.plan, payer.standing.cancels_at) == ("pro", None)


def test_credit_that_the_waiting_invoice_took_comes_back_with_its_end(payer: Payer) -> None:
    customer = payer.customer.stripe_id
    gateway.ask(lambda stripe: stripe.v1.customers.update(customer, {"balance": -500}))
    payer.change("pro")
    assert payer.standing.credit == 0
    payer.stripe.advance(days=1)
    payer.stripe.settle()
    assert payer.standing.credit == 500


def test_a_change_does_not_wait_beyond_the_period(payer: Payer) -> None:
    ends = payer.subscription.current_period_end
    assert ends is not None
    payer.stripe.advance(seconds=int((ends - product_clock.now()).total_seconds()) - 3_600)
    payer.change("pro")
    assert payer.subscription.confirm_until == ends
    payer.stripe.advance(seconds=2 * 3_600 + 60)
    payer.stripe.settle()
    assert payer.subscription.confirm_until is None
    assert [each.total for each in payer.standing.invoices if each.status == "open"] == [900], "the renewal's"


def test_beside_a_cancellation_it_is_refused_and_the_cancellation_stays(payer: Payer) -> None:
    subscribing.cancel(payer.workspace, by=payer.email)
    answer = send(payer, "change", plan="pro", interval="month")
    assert answer.status_code == 402
    assert "Your bank wants you to confirm this payment" in answer.content.decode()
    payer.stripe.settle()
    assert payer.standing.cancels_at is not None
    assert (payer.plan, open_invoices(payer)) == ("starter", [])


def test_beside_a_change_that_is_planned_it_is_refused_and_that_stays(payer: Payer) -> None:
    price = payer.subscription.price_id
    payer.change("starter", "year")
    confirm(payer, payer.standing.to_confirm.hosted_url if payer.standing.to_confirm else "")
    assert payer.standing.interval == "year"
    schedules.change_later(payer.subscription, price)
    payer.stripe.settle()
    with pytest.raises(CrossWireError, match="wants you to confirm this payment"):
        payer.change("pro", "year")
    payer.stripe.settle()
    scheduled = payer.standing.scheduled
    assert scheduled is not None
    assert (scheduled.plan.name, scheduled.interval, payer.plan) == ("starter", "month", "starter")


def test_a_renewal_that_wants_it_is_owed_until_it_is_confirmed(payer: Payer) -> None:
    payer.stripe.advance(days=32)
    payer.stripe.settle()
    assert payer.standing.is_in_grace
    owed = payer.standing.open_invoice
    assert owed is not None
    confirm(payer, owed.hosted_url)
    assert (payer.plan, payer.standing.status, payer.standing.is_in_grace) == ("starter", "active", False)
