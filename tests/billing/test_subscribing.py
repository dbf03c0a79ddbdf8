"""Subscribing, and coming back from Stripe's page, through the real SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts import plan_changes
from billing import subscribing
from billing.health import health
from billing.models import Customer, Subscription
from crosswire.lib.errors import CrossWireError
from tests.billing.payer import Payer
from tests.support.jobs import Jobs
from tests.support.races import at_once
from tests.support.stripe_fake import DECLINED, StripeFake


def live_at_stripe(payer: Payer) -> list[str]:
    """Return the subscriptions that go on at Stripe."""
    with payer.stripe.world.lock:
        mine = [each for each in payer.stripe.world.all("subscription") if each["customer"] == payer.customer.stripe_id]
    return [each["id"] for each in mine if each["status"] not in ("canceled", "incomplete_expired", "incomplete")]


@pytest.mark.parametrize(("plan", "interval", "cents"), [("starter", "month", 900), ("pro", "year", 29_000)])
def test_who_pays_on_stripes_page_has_the_plan(payer: Payer, plan: str, interval: str, cents: int) -> None:
    payer.subscribe(plan, interval)
    assert payer.plan == plan
    found = payer.standing
    assert (found.plan.name, found.interval, found.status, found.is_given) == (plan, interval, "active", False)
    assert found.payment_method == "Visa ending in 4242, until 12/2040"
    assert [each.total for each in found.invoices] == [cents]
    assert payer.kinds() == ["subscribed", "paid"]


def test_only_cards_are_taken_since_others_are_paid_days_later(payer: Payer) -> None:
    payer.open_checkout("starter")
    with payer.stripe.world.lock:
        session = payer.stripe.world.all("checkout.session")[-1]
    assert session["allowed_payment_method_types"] == ["card"]


def test_the_plan_is_there_on_the_way_back_though_no_webhook_came(payer: Payer) -> None:
    payer.stripe.webhooks(drop=["*"])
    page = payer.open_checkout("starter")
    assert payer.plan == "free"
    session = payer.stripe.world.all("checkout.session")[-1]["id"]
    assert not subscribing.checkout_returned(payer.workspace, session), "nobody has paid"
    payer.stripe.pay(page)
    assert subscribing.checkout_returned(payer.workspace, session)
    assert payer.plan == "starter"


def test_a_session_of_somebody_else_is_refused(new_payer: Callable[..., Payer]) -> None:
    mine, theirs = new_payer(), new_payer()
    mine.subscribe()
    theirs.open_checkout()
    session = mine.stripe.world.all("checkout.session")[0]["id"]
    for wrong in (session, "cs_test_unknown", "", "\x00", "sub_1", "cs_" + "x" * 400, "cs_é"):
        with pytest.raises(CrossWireError) as refused:
            subscribing.checkout_returned(theirs.workspace, wrong)
        assert refused.value.code == "not_found"
    assert theirs.plan == "free"


def test_a_declined_card_changes_nothing(payer: Payer) -> None:
    answer = payer.stripe.pay(payer.open_checkout(), DECLINED)
    payer.stripe.settle()
    assert answer.status_code != 303
    assert payer.plan == "free"


def test_a_second_page_ends_the_first(payer: Payer) -> None:
    first, second = payer.open_checkout("starter"), payer.open_checkout("pro")
    assert payer.stripe.pay(first).status_code != 303
    assert payer.stripe.pay(second).status_code == 303
    payer.stripe.settle()
    assert payer.plan == "pro"
    assert len(live_at_stripe(payer)) == 1


def test_of_pages_opened_at_the_same_moment_one_can_be_paid(payer: Payer) -> None:
    pages: list[str] = []
    refused = at_once(*[lambda: pages.append(payer.open_checkout())] * 4)
    assert [each for each in refused if each] == []
    assert Customer.objects.filter(workspace=payer.workspace).count() == 1
    paid = [payer.stripe.pay(page).status_code == 303 for page in dict.fromkeys(pages)]
    payer.stripe.settle()
    assert sum(paid) == 1
    assert len(live_at_stripe(payer)) == 1


def test_who_has_a_subscription_buys_no_second_one(payer: Payer) -> None:
    payer.subscribe("starter")
    with pytest.raises(CrossWireError, match="subscription already"):
        payer.open_checkout("pro")


def test_a_second_subscription_is_ended_and_given_back(payer: Payer, jobs: Jobs) -> None:
    payer.subscribe("starter")
    stripe, customer = payer.stripe, payer.customer
    second = stripe_buys(payer, "crosswire_pro_month")
    stripe.settle()
    assert payer.plan == "pro"
    assert live_at_stripe(payer) == [second], "the better one stays"
    surplus = Subscription.objects.get(customer=customer, is_surplus=True)
    assert surplus.plan == "starter"
    assert surplus.refunded_at is not None
    assert [each["amount"] for each in stripe.world.all("refund")] == [900]
    assert payer.kinds().count("surplus") == 1
    assert payer.kinds().count("refunded") == 1
    stripe.replay()
    stripe.settle()
    assert [each["amount"] for each in stripe.world.all("refund")] == [900], "given back once"


def stripe_buys(payer: Payer, lookup_key: str) -> str:
    """Make a subscription past our pages, as two pages paid at the same moment would; return its id."""
    from billing import gateway  # noqa: PLC0415 - what only this helper needs

    with payer.stripe.world.lock:
        price = next(each["id"] for each in payer.stripe.world.all("price") if each["lookup_key"] == lookup_key)
    customer, method = payer.customer.stripe_id, payer.stripe.world.all("payment_method")[-1]["id"]
    made = gateway.ask(
        lambda stripe: stripe.v1.subscriptions.create(
            {"customer": customer, "items": [{"price": price}], "default_payment_method": method}
        )
    )
    return str(made["id"])


@pytest.mark.parametrize("plan", ["free", "unlimited", "gold", ""])
def test_what_is_not_sold_cannot_be_bought(payer: Payer, plan: str) -> None:
    for interval in ("month", "day"):
        with pytest.raises(CrossWireError) as refused:
            payer.open_checkout(plan, interval)
        assert refused.value.code == "invalid_input"


def test_what_an_operator_gave_stays_when_nothing_is_paid(new_payer: Callable[..., Payer]) -> None:
    payer = new_payer("unlimited")
    payer.subscribe("starter")
    assert payer.plan == "unlimited"
    assert payer.standing.is_given
    subscribing.cancel(payer.workspace, by=payer.email)
    payer.stripe.advance(days=32)
    payer.stripe.settle()
    assert payer.subscription.status == "canceled"
    assert payer.plan == "unlimited"


def test_more_than_is_paid_may_be_given_and_less_is_made_up_for(payer: Payer) -> None:
    payer.subscribe("starter")
    plan_changes.set_plan(payer.workspace, "pro", why="a gift")
    payer.stripe.replay()
    payer.stripe.settle()
    assert payer.plan == "pro"
    plan_changes.set_plan(payer.workspace, "free", why="a mistake")
    payer.stripe.replay(payer.stripe.events("customer.subscription.created")[-1]["id"])
    payer.stripe.settle()
    assert payer.plan == "free", "an event that was handled is not handled again"
    payer.change("starter")
    assert payer.plan == "starter"


def test_a_customer_deleted_at_stripe_loses_the_plan_and_may_come_again(payer: Payer) -> None:
    from billing import gateway  # noqa: PLC0415 - as above

    payer.subscribe("starter")
    old = payer.customer.stripe_id
    gateway.ask(lambda stripe: stripe.v1.customers.delete(old))
    payer.stripe.settle()
    assert payer.plan == "free"
    payer.subscribe("pro")
    assert payer.customer.stripe_id != old
    assert payer.plan == "pro"


def test_the_portal_opens_for_who_has_paid_alone(payer: Payer) -> None:
    with pytest.raises(CrossWireError, match="no subscription"):
        subscribing.open_portal(payer.workspace, by=payer.email)
    payer.subscribe()
    page = subscribing.open_portal(payer.workspace, by=payer.email)
    assert payer.stripe.browser.get(page).status_code == 200


@pytest.mark.parametrize("kind", ["500", "429", "refuse"])
def test_while_stripe_is_away_everything_goes_on_as_it_was(payer: Payer, stripe: StripeFake, kind: str) -> None:
    payer.subscribe("starter")
    stripe.outage(kind)
    for what in (
        lambda: payer.open_checkout("pro"),
        lambda: subscribing.open_portal(payer.workspace, by=payer.email),
        lambda: payer.change("pro"),
        lambda: subscribing.cancel(payer.workspace, by=payer.email),
        lambda: subscribing.resume(payer.workspace, by=payer.email),
    ):
        with pytest.raises(CrossWireError) as refused:
            what()
        assert refused.value.code == "unavailable"
    assert payer.standing.plan.name == payer.plan == "starter"
    stripe.outage("")
    payer.change("pro")
    assert payer.plan == "pro"


def test_what_an_operator_sells_beside_it_is_not_ended(payer: Payer) -> None:
    from billing import gateway  # noqa: PLC0415 - as above

    payer.subscribe("starter")
    customer, card = payer.customer.stripe_id, payer.stripe.world.all("payment_method")[-1]["id"]
    price = gateway.ask(
        lambda stripe: stripe.v1.prices.create(
            {
                "currency": "usd",
                "unit_amount": 50_000,
                "recurring": {"interval": "month"},
                "product_data": {"name": "Help by telephone"},
            }
        )
    )
    wanted: Any = {"customer": customer, "items": [{"price": price["id"]}], "default_payment_method": card}
    beside = gateway.ask(lambda stripe: stripe.v1.subscriptions.create(wanted))
    payer.stripe.settle()
    payer.change("pro")
    assert payer.plan == "pro"
    assert not payer.customer.subscriptions.filter(is_surplus=True).exists()
    kept = gateway.ask(lambda stripe: stripe.v1.subscriptions.retrieve(beside["id"]))
    assert kept["status"] == "active"
    assert payer.stripe.world.all("refund") == []


def test_a_refund_that_stripe_refuses_holds_up_nothing_else(payer: Payer) -> None:
    payer.subscribe("starter")
    payer.stripe.control("dispute", charge=payer.stripe.world.all("charge")[-1]["id"])
    stripe_buys(payer, "crosswire_pro_month")
    payer.stripe.settle()
    assert payer.plan == "pro"
    assert payer.change("starter").when == "later"
    surplus = payer.customer.subscriptions.get(is_surplus=True)
    assert surplus.refunded_at is None
    assert any(surplus.stripe_id in each for each in health().problems)
