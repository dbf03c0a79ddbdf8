"""What a change in the middle of a period costs in the stand-in: the arithmetic, the invoices, the previews."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as some

from billing.demo.periods import share
from tests.support.stripe_fake import StripeFake, running
from tests.support.stripe_shop import Shop, invoice_of, item_of

HOUR = 3_600


@pytest.fixture
def fake() -> Iterator[StripeFake]:
    with running() as fake:
        yield fake


@pytest.fixture
def shop(fake: StripeFake) -> Shop:
    return Shop(fake)


def part(amount: int, subscription: stripe.Subscription, at: int) -> int:
    """Return an amount's share for the rest of the period, rounded to the nearest cent."""
    item = item_of(subscription)
    left = Fraction(item.current_period_end - at, item.current_period_end - item.current_period_start)
    return int(amount * left + Fraction(1, 2))


@given(some.integers(0, 100_000), some.integers(0, 10_000_000), some.integers(1, 10_000_000))
def test_a_share_is_the_nearest_cent_and_credit_mirrors_it(amount: int, left: int, whole: int) -> None:
    left = min(left, whole)
    exact = Fraction(amount * left, whole)
    assert abs(share(amount, left, whole) - exact) <= Fraction(1, 2)
    assert share(-amount, left, whole) == -share(amount, left, whole)
    assert share(amount, whole, whole) == amount


def test_an_upgrade_is_billed_at_once_for_the_rest_of_the_period(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    fake.advance(days=11)
    after = shop.switch(before, "pro_month", proration_behavior="always_invoice")
    invoice = invoice_of(after)
    at = invoice.lines.data[0].period.start
    credit, charge = invoice.lines.data
    assert (credit.amount, charge.amount) == (-part(900, before, at), part(2_900, before, at))
    assert invoice.total == invoice.amount_paid == credit.amount + charge.amount
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert "Unused time on Starter" in str(credit.description)
    assert "Remaining time on Pro" in str(charge.description)
    for line in (credit, charge):
        assert line.parent is not None
        assert line.parent.subscription_item_details is not None
        assert line.parent.subscription_item_details.proration
        assert line.period.end == item_of(before).current_period_end
    assert item_of(after).current_period_end == item_of(before).current_period_end
    assert item_of(after).price.lookup_key == "pro_month"


def test_a_preview_says_what_the_change_will_cost_and_changes_nothing(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    fake.advance(days=10)
    at = fake.now()
    preview = shop.v1.invoices.create_preview(
        {
            "subscription": before.id,
            "subscription_details": {
                "items": [{"id": item_of(before).id, "price": shop.prices["pro_month"]}],
                "proration_behavior": "always_invoice",
                "proration_date": at,
            },
        }
    )
    assert preview.total == part(2_900, before, at) - part(900, before, at)
    assert item_of(shop.subscription(before.id)).price.lookup_key == "starter_month"
    assert len(shop.v1.invoices.list({"subscription": before.id}).data) == 1
    done = shop.switch(before, "pro_month", proration_behavior="always_invoice", proration_date=at)
    assert invoice_of(done).total == preview.total


def test_prorations_kept_for_later_are_on_the_next_invoice(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    fake.advance(days=15)
    shop.switch(before, "pro_month", proration_behavior="create_prorations")
    assert len(shop.v1.invoices.list({"subscription": before.id}).data) == 1
    preview = shop.v1.invoices.create_preview({"subscription": before.id})
    fake.advance(seconds=item_of(before).current_period_end + HOUR - fake.now())
    invoice = invoice_of(shop.subscription(before.id))
    at = invoice.lines.data[0].period.start
    assert [line.amount for line in invoice.lines.data] == [-part(900, before, at), part(2_900, before, at), 2_900]
    assert invoice.total == preview.total
    fake.advance(days=32)
    assert invoice_of(shop.subscription(before.id)).total == 2_900


def test_without_prorations_the_price_changes_and_nothing_is_billed(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    fake.advance(days=15)
    after = shop.switch(before, "pro_month", proration_behavior="none")
    assert item_of(after).price.lookup_key == "pro_month"
    assert shop.v1.invoices.create_preview({"subscription": before.id}).total == 2_900


def test_a_longer_interval_begins_a_new_period_now(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    fake.advance(days=12)
    after = shop.switch(before, "starter_year", proration_behavior="create_prorations")
    invoice = invoice_of(after)
    at = item_of(after).current_period_start
    assert after.billing_cycle_anchor == at >= item_of(before).current_period_start + 12 * 86_400
    assert [line.amount for line in invoice.lines.data] == [-part(900, before, at), 9_000]
    assert (invoice.status, invoice.total) == ("paid", 9_000 - part(900, before, at))
    assert 365 * 86_400 <= item_of(after).current_period_end - at <= 366 * 86_400


def test_a_downgrade_at_once_ends_in_credit_that_pays_the_next_invoices(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("pro_month")
    fake.advance(days=5)
    after = shop.switch(before, "starter_month", proration_behavior="always_invoice")
    invoice = invoice_of(after)
    assert invoice.total < 0
    assert (invoice.status, invoice.amount_due, invoice.amount_paid) == ("paid", 0, 0)
    assert invoice.ending_balance == invoice.total
    customer = shop.v1.customers.retrieve(str(after.customer))
    assert customer.balance == invoice.total
    fake.advance(seconds=item_of(after).current_period_end + HOUR - fake.now())
    next_one = invoice_of(shop.subscription(before.id))
    assert (next_one.total, next_one.amount_due) == (900, max(0, 900 + invoice.total))
    assert next_one.status == "paid"
    assert shop.v1.customers.retrieve(str(after.customer)).balance == min(0, invoice.total + 900)


def test_an_upgrade_that_is_not_paid_leaves_everything_as_it_was(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    fake.advance(days=3)
    fake.decline()
    told = len(fake.events())
    with pytest.raises(stripe.CardError) as refused:
        shop.switch(before, "pro_month", proration_behavior="always_invoice", payment_behavior="error_if_incomplete")
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    now = shop.subscription(before.id)
    assert (item_of(now).price.lookup_key, now.status) == ("starter_month", "active")
    assert len(fake.events()) == told
    again = shop.switch(before, "pro_month", payment_behavior="error_if_incomplete")
    assert item_of(again).price.lookup_key == "pro_month"


def test_an_upgrade_that_may_be_incomplete_is_done_and_past_due(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    fake.advance(days=3)
    fake.decline()
    after = shop.switch(before, "pro_month", proration_behavior="always_invoice")
    assert (item_of(after).price.lookup_key, after.status, invoice_of(after).status) == (
        "pro_month",
        "past_due",
        "open",
    )


def test_what_the_stand_in_cannot_do_is_refused_not_ignored(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    item = item_of(before).id
    for change in (
        {"items": [{"id": item, "deleted": True}]},
        {"items": [{"price": shop.prices["pro_month"]}]},
        {"metadata": {"a": "b"}, "items": [{"id": item}], "payment_behavior": "pending_if_incomplete"},
        {"trial_end": "now"},
        {"pause_collection": {"behavior": "void"}},
    ):
        with pytest.raises(stripe.InvalidRequestError):
            shop.v1.subscriptions.update(before.id, change)  # type: ignore[arg-type] # some are told from afar


def test_there_is_no_next_invoice_for_what_ends(fake: StripeFake, shop: Shop) -> None:
    before = shop.subscribed("starter_month")
    shop.v1.subscriptions.update(before.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as none:
        shop.v1.invoices.create_preview({"subscription": before.id})
    assert (none.value.http_status, none.value.code) == (404, "invoice_upcoming_none")
