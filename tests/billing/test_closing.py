"""Deleting a workspace or an account ends what it pays, whatever is in the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts import closing as accounts_closing
from accounts import leaving
from accounts.models import Workspace
from billing import closing, reconciling, webhooks
from billing.health import health
from billing.models import Customer, Happening, Invoice, StripeEvent
from crosswire.lib import jobs as product_jobs
from tests.billing.payer import Payer
from tests.conftest import Clock
from tests.support.jobs import Jobs


def status_at_stripe(payer: Payer) -> list[str]:
    with payer.stripe.world.lock:
        mine = [each for each in payer.stripe.world.all("subscription") if each["customer"] == payer.customer.stripe_id]
    return [each["status"] for each in mine]


def test_deleting_a_workspace_ends_its_subscription(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    customer = payer.customer
    accounts_closing.close(payer.workspace, actor=payer.email)
    assert status_at_stripe(payer) == ["active"], "nothing is asked of Stripe inside the transaction"
    jobs.do()
    payer.stripe.settle()
    assert status_at_stripe(payer) == ["canceled"]
    assert not Workspace.objects.filter(pk=payer.person.workspace.pk).exists()
    customer.refresh_from_db()
    assert customer.closed_at is not None
    assert not Invoice.objects.filter(customer=customer).exists()
    assert not Happening.objects.filter(customer=customer, kind="paid").exists()
    webhooks.prune()
    told = StripeEvent.objects.filter(customer_stripe_id=customer.stripe_id)
    assert {each.payload for each in told} == {""}


def test_deleting_an_account_ends_what_its_workspaces_pay(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    leaving.close(payer.person.user)
    jobs.do()
    assert status_at_stripe(payer) == ["canceled"]


def test_stripe_being_away_at_that_moment_loses_nothing(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    payer.stripe.outage("500")
    jobs.do()
    assert not Workspace.objects.filter(pk=payer.person.workspace.pk).exists(), "it is gone all the same"
    assert status_at_stripe(payer) == ["active"]
    assert any("deleted workspace" in each for each in health().problems)
    payer.stripe.outage("")
    assert closing.resume() >= 1
    jobs.do()
    assert status_at_stripe(payer) == ["canceled"]


def test_a_job_that_was_lost_is_found_again(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    jobs.forget()
    closing.resume()
    jobs.do()
    assert status_at_stripe(payer) == ["canceled"]


def test_a_workspace_that_was_deleted_past_the_product_is_noticed(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    Customer.objects.filter(pk=payer.customer.pk).update(workspace=None)  # as deleting the row leaves it
    closing.resume()
    jobs.do()
    assert status_at_stripe(payer) == ["canceled"]


def test_the_nightly_comparison_ends_it_too(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    jobs.forget()
    reconciling.reconcile()
    assert status_at_stripe(payer) == ["canceled"]


def test_who_pays_on_a_page_that_was_open_gets_it_back(payer: Payer, jobs: Jobs) -> None:
    page = payer.open_checkout("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    payer.stripe.pay(page)  # before the job has run
    payer.stripe.settle()
    assert status_at_stripe(payer) == ["canceled"]
    assert [each["amount"] for each in payer.stripe.world.all("refund")] == [2_900]
    jobs.do()
    assert Customer.objects.get(pk=payer.customer.pk).closed_at is not None


def test_the_job_ends_pages_that_are_open(payer: Payer, jobs: Jobs) -> None:
    page = payer.open_checkout("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    jobs.do()
    assert payer.stripe.pay(page).status_code != 303
    assert status_at_stripe(payer) == []


def test_a_subscription_that_begins_long_after_is_ended_and_given_back(payer: Payer, jobs: Jobs, clock: Clock) -> None:
    from tests.billing.test_subscribing import stripe_buys  # noqa: PLC0415 - this test's alone

    payer.subscribe("starter")
    clock.forward(minutes=1)
    accounts_closing.close(payer.workspace, actor=payer.email)
    jobs.do()
    stripe_buys(payer, "crosswire_pro_month")
    payer.stripe.settle()
    assert status_at_stripe(payer) == ["canceled", "canceled"]
    assert [each["amount"] for each in payer.stripe.world.all("refund")] == [2_900]


def test_a_workspace_that_never_paid_asks_nothing_of_stripe(new_payer: Callable[..., Payer], jobs: Jobs) -> None:
    payer = new_payer()
    payer.stripe.outage("refuse")
    accounts_closing.close(payer.workspace, actor=payer.email)
    assert jobs.names() == ["erase_workspace"]


def test_two_at_once_end_it_once(payer: Payer, jobs: Jobs) -> None:
    from tests.support.races import at_once  # noqa: PLC0415 - this test's alone

    payer.subscribe("pro")
    accounts_closing.close(payer.workspace, actor=payer.email)
    pk = payer.customer.pk
    at_once(*[lambda: product_jobs.run("billing.tasks.close_customer", pk)] * 4)
    assert status_at_stripe(payer) == ["canceled"]
    assert payer.customer.closed_at is not None


@pytest.mark.parametrize("what", ["close", "leave"])
def test_what_is_deleted_while_billing_is_off_goes_all_the_same(new_payer: Callable[..., Payer], what: str) -> None:
    payer = new_payer()
    if what == "close":
        accounts_closing.close(payer.workspace, actor=payer.email)
    else:
        leaving.close(payer.person.user)
    assert Workspace.objects.get(pk=payer.person.workspace.pk).closing_at is not None
