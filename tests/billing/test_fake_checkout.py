"""Checkout of the stand-in, through its API and through its page as a browser fills it in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stripe

from tests.support.stripe_fake import DECLINED, DECLINED_LATER, StripeFake, running
from tests.support.stripe_shop import Shop, plain


@pytest.fixture(scope="module")
def fake() -> Iterator[StripeFake]:
    with running() as fake:
        yield fake


@pytest.fixture(scope="module")
def shop(fake: StripeFake) -> Shop:
    return Shop(fake)


def test_paying_begins_a_subscription_and_leads_back(fake: StripeFake, shop: Shop) -> None:
    customer = shop.customer()
    session = shop.checkout(customer.id)
    assert (session.status, session.payment_status, session.subscription) == ("open", "unpaid", None)
    answer = fake.pay(str(session.url))
    assert answer.status_code == 303
    assert answer.headers["location"] == f"http://localhost:8000/billing?session={session.id}"
    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice", "line_items"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert (done.client_reference_id, done.customer) == ("7", customer.id)
    assert isinstance(done.subscription, stripe.Subscription)
    assert done.subscription.status == "active"
    assert plain(done.subscription.metadata) == {"workspace": "7"}
    assert isinstance(done.invoice, stripe.Invoice)
    assert (done.invoice.status, done.invoice.billing_reason) == ("paid", "subscription_create")
    assert done.invoice.amount_paid == done.amount_total == 900
    assert done.line_items is not None
    assert [each.description for each in done.line_items.data] == ["Starter"]


def test_the_page_shows_what_is_bought_and_that_nothing_is_real(fake: StripeFake, shop: Shop) -> None:
    page = fake.browser.get(str(shop.checkout(shop.customer().id, "pro_year").url)).text
    for words in ("Demo payments — no real money", "Subscribe to Pro", "$290.00", "per year", "4242 4242 4242 4242"):
        assert words in page
    assert 'href="http://localhost:8000/billing"' in page
    assert "owner@example.com" in page


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (DECLINED, "Your card was declined."),
        (DECLINED_LATER, "Your card was declined."),
        ("4000 0000 0000 9995", "Your card has insufficient funds."),
        ("4000 0000 0000 0000", "Your card number is incorrect."),
    ],
)
def test_a_refused_card_leaves_the_session_open_and_no_subscription(
    fake: StripeFake, shop: Shop, card: str, words: str
) -> None:
    customer = shop.customer()
    session = shop.checkout(customer.id)
    answer = fake.pay(str(session.url), card)
    assert answer.status_code == 200, "a form that is shown again, as far as browsers care"
    assert words in answer.text
    assert card in answer.text  # what was typed is still there
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert shop.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []
    assert fake.pay(str(session.url)).status_code == 303


def test_a_button_shows_what_a_declined_card_does(fake: StripeFake, shop: Shop) -> None:
    session = shop.checkout(shop.customer().id)
    answer = fake.pay(str(session.url), do="decline")
    assert "Your card was declined." in answer.text
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_an_expiry_that_is_none_is_refused(fake: StripeFake, shop: Shop) -> None:
    answer = fake.pay(str(shop.checkout(shop.customer().id).url), expiry="13 / 40")
    assert answer.status_code == 200, "a form that is shown again, as far as browsers care"
    assert "expiry date" in answer.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"expiry": "01 / 20"}, "is in the past"), ({"cvc": ""}, "security code"), ({"cvc": "12"}, "security code")],
)
def test_an_expired_card_or_one_without_its_code_is_refused(
    fake: StripeFake, shop: Shop, fields: dict[str, str], said: str
) -> None:
    answer = fake.pay(str(shop.checkout(shop.customer().id).url), **fields)
    assert answer.status_code == 200, "a form that is shown again, as far as browsers care"
    assert said in answer.text


def test_paying_twice_leads_back_and_charges_once(fake: StripeFake, shop: Shop) -> None:
    customer = shop.customer()
    session = shop.checkout(customer.id)
    assert fake.pay(str(session.url)).headers["location"] == fake.pay(str(session.url)).headers["location"]
    assert len(shop.v1.charges.list({"customer": customer.id}).data) == 1


def test_an_expired_session_cannot_be_paid(fake: StripeFake, shop: Shop) -> None:
    session = shop.checkout(shop.customer().id)
    address = str(session.url)
    assert shop.v1.checkout.sessions.expire(session.id).status == "expired"
    assert fake.pay(address).status_code == 410
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.checkout.sessions.expire(session.id)
    assert fake.events("checkout.session.expired")[-1]["data"]["object"]["id"] == session.id


def test_a_session_expires_by_itself_after_a_day() -> None:
    with running() as fake:
        shop = Shop(fake)
        session = shop.checkout(shop.customer().id)
        assert session.expires_at == session.created + 86_400
        fake.advance(days=1)
        assert shop.v1.checkout.sessions.retrieve(session.id).status == "expired"
        assert [each["data"]["object"]["id"] for each in fake.events("checkout.session.expired")] == [session.id]


def test_without_a_customer_one_is_made(fake: StripeFake, shop: Shop) -> None:
    session = shop.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer_email": "new@example.com",
            "line_items": [{"price": shop.prices["pro_month"], "quantity": 1}],
            "success_url": "http://localhost:8000/done",
        }
    )
    assert fake.pay(str(session.url), email="new@example.com", name="Nora").status_code == 303
    done = shop.v1.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
    assert isinstance(done.customer, stripe.Customer)
    assert (done.customer.email, done.customer.name) == ("new@example.com", "Nora")


def test_an_unknown_session_is_a_404_page(fake: StripeFake) -> None:
    answer = fake.browser.get(f"{fake.url}/checkout/cs_test_nothing")
    assert answer.status_code == 404
    assert "That is not possible" in answer.text


def test_an_inactive_price_is_not_sold(shop: Shop) -> None:
    product = shop.v1.products.create({"name": "Old"})
    price = shop.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
    )
    shop.v1.prices.update(price.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "line_items": [{"price": price.id, "quantity": 1}],
                "success_url": "http://localhost:8000/done",
            }
        )
    assert refused.value.param == "line_items[0][price]"
