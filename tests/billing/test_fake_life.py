"""The life of subscriptions in the stand-in along its clock: renewals, failed payments, ends, schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import stripe

from billing.demo import periods
from tests.support.stripe_fake import DECLINED_LATER, PAYS, StripeFake, running
from tests.support.stripe_shop import Shop, invoice_of, item_of, plain

DAY = 86_400
HOUR = 3_600


@pytest.fixture
def fake() -> Iterator[StripeFake]:
    with running() as fake:
        yield fake


@pytest.fixture
def shop(fake: StripeFake) -> Shop:
    return Shop(fake)


def until(fake: StripeFake, moment: int) -> None:
    """Move the stand-in's clock to a moment."""
    fake.advance(seconds=max(0, moment - fake.now()))


def renewed(fake: StripeFake, shop: Shop, subscription: stripe.Subscription) -> stripe.Subscription:
    """Let a period end and its invoice leave its hour as a draft."""
    until(fake, item_of(subscription).current_period_end + HOUR)
    return shop.subscription(subscription.id)


def told(fake: StripeFake) -> list[str]:
    return [event["type"] for event in fake.events()]


# --- renewals ---------------------------------------------------------------------------------------------------
def test_a_period_ends_with_a_draft_that_is_paid_an_hour_later(fake: StripeFake, shop: Shop) -> None:
    first = shop.subscribed()
    end = item_of(first).current_period_end
    until(fake, end)
    draft = invoice_of(shop.subscription(first.id))
    assert (draft.status, draft.billing_reason, draft.number) == ("draft", "subscription_cycle", None)
    assert draft.automatically_finalizes_at == end + HOUR
    until(fake, end + HOUR)
    now = shop.subscription(first.id)
    paid = invoice_of(now)
    assert (paid.id, paid.status, paid.amount_paid) == (draft.id, "paid", 900)
    assert item_of(now).current_period_start == end
    assert item_of(now).current_period_end == periods.stepped(first.billing_cycle_anchor, "month", 2)
    assert [(line.period.start, line.period.end) for line in paid.lines.data] == [
        (end, item_of(now).current_period_end)
    ]


def test_a_year_passes_in_twelve_invoices(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    until(fake, periods.stepped(subscription.billing_cycle_anchor, "month", 11) + HOUR)
    invoices = shop.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data
    assert [each.amount_paid for each in invoices] == [900] * 12
    assert [str(each.number)[-4:] for each in invoices] == [f"{number:04}" for number in range(12, 0, -1)]


def test_the_next_invoice_is_announced_a_week_before(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    end = item_of(subscription).current_period_end
    until(fake, end - 7 * DAY - 1)
    assert fake.events("invoice.upcoming") == []
    fake.advance(seconds=1)
    [event] = fake.events("invoice.upcoming")
    assert event["data"]["object"]["total"] == 900
    fake.advance(days=1)
    assert len(fake.events("invoice.upcoming")) == 1


@pytest.mark.parametrize(
    ("anchor", "interval", "ends"),
    [
        ("2026-01-31", "month", ["2026-02-28", "2026-03-31", "2026-04-30"]),
        ("2024-02-29", "year", ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        ("2026-11-30", "month", ["2026-12-30", "2027-01-30", "2027-02-28", "2027-03-30"]),
    ],
)
def test_periods_are_counted_from_the_anchor(anchor: str, interval: str, ends: list[str]) -> None:
    start = int(datetime.fromisoformat(anchor).replace(tzinfo=UTC).timestamp())
    found, moment = [], start
    for _ in ends:
        moment = periods.end_after(start, interval, 1, moment)
        found.append(datetime.fromtimestamp(moment, UTC).date().isoformat())
    assert found == ends


def test_the_products_clock_moves_the_stand_ins(fake: StripeFake, shop: Shop, clock: object) -> None:
    subscription = shop.subscribed()
    forward: Callable[..., None] = clock.forward  # type: ignore[attr-defined]
    forward(days=32)
    assert len(shop.v1.invoices.list({"subscription": subscription.id}).data) == 2


# --- failed payments --------------------------------------------------------------------------------------------
def test_a_failed_renewal_is_tried_again_and_ends_the_subscription_at_last(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    fake.decline(-1)
    late = renewed(fake, shop, subscription)
    failed = invoice_of(late)
    assert (late.status, failed.status, failed.attempt_count) == ("past_due", "open", 1)
    moment = fake.now()
    assert failed.next_payment_attempt == moment + 3 * DAY
    customer = shop.v1.customers.retrieve(str(late.customer))
    assert customer.delinquent is True
    for attempts, days in ((2, 5), (3, 7)):
        until(fake, failed.next_payment_attempt)
        failed = shop.v1.invoices.retrieve(str(failed.id))
        assert (failed.attempt_count, failed.next_payment_attempt) == (attempts, fake.now() + days * DAY)
    until(fake, int(failed.next_payment_attempt or 0))
    over = shop.subscription(subscription.id)
    assert (over.status, over.ended_at) == ("canceled", fake.now())
    assert over.cancellation_details is not None
    assert over.cancellation_details.reason == "payment_failed"
    assert invoice_of(over).status == "open"
    assert invoice_of(over).next_payment_attempt is None
    assert told(fake).count("invoice.payment_failed") == 4
    assert told(fake)[-1] == "customer.subscription.deleted"
    fake.advance(days=90)
    assert len(shop.v1.invoices.list({"subscription": subscription.id}).data) == 2


@pytest.mark.parametrize("then", ["unpaid", "past_due"])
def test_what_happens_after_the_last_retry_can_be_chosen(fake: StripeFake, shop: Shop, then: str) -> None:
    subscription = shop.subscribed("pro_year")
    fake.control("last_retry", then=then)
    fake.decline(-1)
    until(fake, item_of(subscription).current_period_end + HOUR + 16 * DAY)
    assert shop.subscription(subscription.id).status == then


def test_a_payment_that_works_again_brings_the_subscription_back(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    fake.decline()
    assert renewed(fake, shop, subscription).status == "past_due"
    fake.advance(days=3)
    back = shop.subscription(subscription.id)
    assert (back.status, invoice_of(back).status, invoice_of(back).attempt_count) == ("active", "paid", 2)
    assert shop.v1.customers.retrieve(str(back.customer)).delinquent is False
    updates = [
        event["data"]["previous_attributes"]["status"]
        for event in fake.events("customer.subscription.updated")
        if "status" in event["data"]["previous_attributes"]
    ]
    assert updates == ["active", "past_due"]


def test_recovering_tries_what_is_open_at_once(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    fake.decline(-1)
    assert renewed(fake, shop, subscription).status == "past_due"
    fake.recover()
    assert shop.subscription(subscription.id).status == "active"


def test_another_card_in_the_portal_pays_the_open_invoice_on_its_page(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    portal = shop.portal(subscription.customer)
    changed = fake.browser.post(portal, data={"do": "card", "number": DECLINED_LATER})
    assert changed.status_code == 303
    late = renewed(fake, shop, subscription)
    assert late.status == "past_due"
    invoice = invoice_of(late)
    page = str(invoice.hosted_invoice_url)
    assert "Your card was declined." in fake.browser.post(page, data={"number": DECLINED_LATER}).text
    assert fake.browser.post(page, data={"number": PAYS}).status_code == 303
    now = shop.subscription(subscription.id)
    assert (now.status, invoice_of(now).status) == ("active", "paid")
    assert renewed(fake, shop, now).status == "active"  # the new card pays from now on


def test_a_manual_attempt_leaves_the_schedule_of_retries_alone(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    fake.decline(-1)
    before = invoice_of(renewed(fake, shop, subscription))
    with pytest.raises(stripe.CardError):
        shop.v1.invoices.pay(str(before.id))
    after = shop.v1.invoices.retrieve(str(before.id))
    assert after.attempt_count == 2
    assert after.next_payment_attempt == before.next_payment_attempt


def test_a_first_payment_that_never_comes_expires_the_subscription(fake: StripeFake, shop: Shop) -> None:
    customer = shop.customer()
    made = shop.v1.subscriptions.create({"customer": customer.id, "items": [{"price": shop.prices["pro_month"]}]})
    assert made.status == "incomplete"
    fake.advance(seconds=23 * HOUR)
    over = shop.subscription(made.id)
    assert (over.status, invoice_of(over).status) == ("incomplete_expired", "void")


def test_a_written_off_invoice_is_collected_no_more(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    fake.decline(-1)
    invoice = invoice_of(renewed(fake, shop, subscription))
    given_up = shop.v1.invoices.mark_uncollectible(str(invoice.id))
    assert (given_up.status, given_up.next_payment_attempt) == ("uncollectible", None)
    fake.recover()
    assert shop.v1.invoices.retrieve(str(invoice.id)).status == "uncollectible"
    assert shop.v1.invoices.pay(str(invoice.id)).status == "paid"
    assert shop.subscription(subscription.id).status == "active"


# --- ends -------------------------------------------------------------------------------------------------------
def test_a_subscription_ends_with_its_period_when_that_was_asked_for(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    end = item_of(subscription).current_period_end
    ending = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (ending.cancel_at_period_end, ending.cancel_at, ending.status) == (True, end, "active")
    until(fake, end - 1)
    assert shop.subscription(subscription.id).status == "active"
    fake.advance(seconds=1)
    over = shop.subscription(subscription.id)
    assert (over.status, over.ended_at) == ("canceled", end)
    assert len(shop.v1.invoices.list({"subscription": subscription.id}).data) == 1


def test_who_resumes_in_time_goes_on(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    resumed = shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (resumed.cancel_at_period_end, resumed.cancel_at, resumed.canceled_at) == (False, None, None)
    assert renewed(fake, shop, subscription).status == "active"


def test_the_portal_cancels_and_resumes(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    portal = shop.portal(subscription.customer, return_url="http://localhost:8000/billing")
    page = fake.browser.get(portal).text
    for words in ("Starter", "$9.00", "Visa ending in 4242", "http://localhost:8000/billing", "Renews on"):
        assert words in page
    for pressed, is_ending in (("cancel", True), ("resume", False)):
        fake.browser.post(portal, data={"do": pressed, "subscription": subscription.id})
        assert shop.subscription(subscription.id).cancel_at_period_end is is_ending
        assert ("Ends on" in fake.browser.get(portal).text) is is_ending


def test_the_portal_does_not_reach_somebody_elses_subscription(fake: StripeFake, shop: Shop) -> None:
    theirs = shop.subscribed()
    portal = shop.portal(shop.customer().id)
    answer = fake.browser.post(portal, data={"do": "cancel", "subscription": theirs.id})
    assert "No such subscription" in answer.text
    assert shop.subscription(theirs.id).cancel_at_period_end is False


def test_the_portal_changes_the_plan_where_its_configuration_says_so(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    pro = shop.v1.prices.retrieve(shop.prices["pro_month"]).product
    configuration = shop.v1.billing_portal.configurations.create(
        {
            "features": {
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price"],
                    "products": [{"product": str(pro), "prices": [shop.prices["pro_month"]]}],
                    "proration_behavior": "always_invoice",
                }
            }
        }
    )
    wanted = {"do": "switch", "subscription": subscription.id, "price": shop.prices["pro_month"]}
    plain_portal = shop.portal(subscription.customer)
    assert "does not offer that" in fake.browser.post(plain_portal, data=wanted).text
    portal = shop.portal(subscription.customer, configuration=configuration.id)
    assert "Pro, $29.00 per month" in fake.browser.get(portal).text
    assert "does not offer" in fake.browser.post(portal, data={**wanted, "price": shop.prices["pro_year"]}).text
    assert fake.browser.post(portal, data=wanted).status_code == 303
    assert item_of(shop.subscription(subscription.id)).price.id == shop.prices["pro_month"]


def test_the_portal_needs_a_configuration(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No configuration provided"):
        shop.v1.billing_portal.sessions.create({"customer": shop.customer().id})


def test_a_portal_session_for_one_thing_shows_that_alone_and_leads_back(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    portal = shop.portal(
        subscription.customer,
        flow_data={
            "type": "payment_method_update",
            "after_completion": {"type": "redirect", "redirect": {"return_url": "http://localhost:8000/saved"}},
        },
    )
    page = fake.browser.get(portal).text
    assert "Save the card" in page
    assert "Cancel the subscription" not in page
    answer = fake.browser.post(portal, data={"do": "card", "number": PAYS})
    assert answer.headers["location"] == "http://localhost:8000/saved"


def test_canceling_at_once_ends_it_now_and_twice_is_404(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    assert shop.v1.subscriptions.cancel(subscription.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as gone:
        shop.v1.subscriptions.cancel(subscription.id)
    assert gone.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    updated = shop.v1.subscriptions.update(subscription.id, {"metadata": {"why": "moved"}})
    assert plain(updated.metadata)["why"] == "moved"
    assert shop.v1.subscriptions.list({"customer": str(subscription.customer)}).data == []


# --- schedules --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("before", "after"), [("pro_month", "starter_month"), ("pro_year", "starter_month")])
def test_a_scheduled_downgrade_begins_with_the_next_period(
    fake: StripeFake, shop: Shop, before: str, after: str
) -> None:
    subscription = shop.subscribed(before)
    end = item_of(subscription).current_period_end
    schedule = shop.schedule(subscription, after)
    assert [phase.start_date for phase in schedule.phases] == [item_of(subscription).current_period_start, end]
    assert shop.subscription(subscription.id).schedule == schedule.id
    assert shop.v1.invoices.create_preview({"subscription": subscription.id}).total == 900
    until(fake, end - 1)
    assert item_of(shop.subscription(subscription.id)).price.lookup_key == before
    until(fake, end + HOUR)
    now = shop.subscription(subscription.id)
    assert item_of(now).price.lookup_key == after
    assert item_of(now).current_period_start == end
    assert item_of(now).current_period_end == periods.stepped(end, "month", 1)
    assert (invoice_of(now).total, len(invoice_of(now).lines.data)) == (900, 1)
    until(fake, item_of(now).current_period_end + HOUR)
    later = shop.subscription(subscription.id)
    assert (later.schedule, later.status, invoice_of(later).total) == (None, "active", 900)
    assert shop.v1.subscription_schedules.retrieve(schedule.id).status == "released"


def test_a_released_schedule_changes_nothing(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed("pro_month")
    schedule = shop.schedule(subscription, "starter_month")
    released = shop.v1.subscription_schedules.release(schedule.id)
    assert (released.status, released.released_subscription) == ("released", subscription.id)
    now = renewed(fake, shop, subscription)
    assert (now.schedule, item_of(now).price.lookup_key) == (None, "pro_month")
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscription_schedules.release(schedule.id)


def test_a_canceled_schedule_takes_its_subscription_along(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed("pro_month")
    schedule = shop.schedule(subscription, "starter_month")
    assert shop.v1.subscription_schedules.cancel(schedule.id).status == "canceled"
    assert shop.subscription(subscription.id).status == "canceled"


def test_a_subscription_under_a_schedule_is_not_canceled_beside_it(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed("pro_month")
    shop.schedule(subscription, "starter_month")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert "managed by the subscription schedule" in str(refused.value)
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscription_schedules.create({"from_subscription": subscription.id})


def test_the_past_of_a_schedule_cannot_be_changed(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed("pro_month")
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    phase = schedule.phases[0]
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscription_schedules.update(
            schedule.id,
            {
                "phases": [
                    {
                        "start_date": phase.start_date + 1,
                        "end_date": phase.end_date,
                        "items": [{"price": shop.prices["pro_month"]}],
                    }
                ]
            },
        )


# --- money back -------------------------------------------------------------------------------------------------
def test_refunds_are_told_of_and_cannot_exceed_what_was_paid(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    charge = shop.v1.charges.list({"customer": str(subscription.customer)}).data[0]
    part = shop.v1.refunds.create({"charge": charge.id, "amount": 400, "reason": "requested_by_customer"})
    assert (part.status, part.amount) == ("succeeded", 400)
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.refunds.create({"charge": charge.id, "amount": 501})
    shop.v1.refunds.create({"payment_intent": str(charge.payment_intent)})
    after = shop.v1.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (after.amount_refunded, after.refunded) == (900, True)
    assert after.refunds is not None
    assert [each.amount for each in after.refunds.data] == [500, 400]
    with pytest.raises(stripe.InvalidRequestError) as over:
        shop.v1.refunds.create({"charge": charge.id})
    assert over.value.code == "charge_already_refunded"
    previous = fake.events("charge.refunded")[0]["data"]["previous_attributes"]
    assert previous == {"amount_refunded": 0}


def test_a_dispute_is_opened_and_closed(fake: StripeFake, shop: Shop) -> None:
    subscription = shop.subscribed()
    invoice = invoice_of(subscription)
    opened = fake.control("dispute", invoice=invoice.id)
    assert shop.v1.disputes.retrieve(opened["id"]).status == "needs_response"
    assert shop.v1.charges.retrieve(opened["charge"]).disputed
    closed = fake.control("close_dispute", dispute=opened["id"], is_won=False)
    assert closed["status"] == "lost"
    assert told(fake)[-1] == "charge.dispute.closed"
