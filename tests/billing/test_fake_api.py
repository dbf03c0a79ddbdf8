"""The stand-in's API as Stripe's SDK meets it: keys, errors, idempotency, lists, expansion, outages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.support.stripe_fake import StripeFake, running
from tests.support.stripe_shop import Shop, client, item_of, plain


@pytest.fixture(scope="module")
def fake() -> Iterator[StripeFake]:
    with running() as fake:
        yield fake


@pytest.fixture(scope="module")
def shop(fake: StripeFake) -> Shop:
    return Shop(fake)


@pytest.fixture
def _no_outage(fake: StripeFake) -> Iterator[None]:
    yield
    fake.outage("")


def post(fake: StripeFake, address: str, body: dict[str, Any], **headers: str) -> Any:
    given = {"Authorization": f"Bearer {fake.key}", **{name.replace("_", "-"): each for name, each in headers.items()}}
    return fake.browser.post(f"{fake.url}{address}", data=body, headers=given)


# --- keys and errors --------------------------------------------------------------------------------------------
def test_a_wrong_key_is_refused_and_so_is_none(fake: StripeFake) -> None:
    stranger = stripe.StripeClient("sk_test_not_this_one_at_all", base_addresses={"api": fake.url})
    with pytest.raises(stripe.AuthenticationError) as refused:
        stranger.v1.customers.list()
    assert refused.value.http_status == 401
    assert "not_this_one" not in str(refused.value)
    assert fake.browser.get(f"{fake.url}/v1/customers").status_code == 401


def test_every_installation_has_a_key_of_its_own() -> None:
    with running() as one, running() as other:
        assert one.key != other.key
        assert one.webhook_secret != other.webhook_secret
        assert len(one.key) > 40


def test_answers_carry_a_request_id_and_the_api_version(shop: Shop) -> None:
    customer = shop.customer()
    assert customer.last_response is not None
    assert customer.last_response.request_id is not None
    assert customer.last_response.request_id.startswith("req_")
    assert customer.last_response.headers["stripe-version"] == "2026-10-28.endive"


def test_another_api_version_is_refused(fake: StripeFake) -> None:
    answer = post(fake, "/v1/customers", {}, Stripe_Version="2020-08-27")
    assert answer.status_code == 400
    assert "Invalid Stripe API version" in answer.json()["error"]["message"]


def test_what_is_not_there_is_404_when_the_address_names_it(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        shop.v1.subscriptions.retrieve("sub_nothing")
    assert (missing.value.http_status, missing.value.code, missing.value.param) == (404, "resource_missing", "id")


def test_what_is_not_there_is_400_when_a_parameter_names_it(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        shop.v1.billing_portal.sessions.create({"customer": "cus_nobody"})
    assert (missing.value.http_status, missing.value.code) == (400, "resource_missing")
    assert missing.value.param == "customer"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"colour": "red"}, "colour"),
        ({"address[planet]": "Mars"}, "address[planet]"),
        ({"invoice_settings[default_payment_method][id]": "pm"}, "invoice_settings[default_payment_method]"),
    ],
)
def test_an_unknown_parameter_is_refused(fake: StripeFake, body: dict[str, str], param: str) -> None:
    error = post(fake, "/v1/customers", body).json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_a_missing_parameter_is_named(fake: StripeFake) -> None:
    error = post(fake, "/v1/prices", {"unit_amount": "900"}).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_missing", "currency")
    assert error["doc_url"].endswith("/parameter-missing")


def test_a_number_that_is_none_is_refused(fake: StripeFake) -> None:
    error = post(fake, "/v1/prices", {"currency": "usd", "unit_amount": "9.50"}).json()["error"]
    assert (error["code"], error["param"]) == ("parameter_invalid_integer", "unit_amount")


def test_an_unknown_address_is_404(fake: StripeFake) -> None:
    answer = post(fake, "/v1/rockets", {})
    assert answer.status_code == 404
    assert "Unrecognized request URL (POST: /v1/rockets)" in answer.json()["error"]["message"]


def test_a_refused_request_leaves_nothing_behind(fake: StripeFake, shop: Shop) -> None:
    before = fake.state()["objects"]
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.prices.create({"currency": "usd", "product_data": {"name": "Ghost"}, "unit_amount": -1})
    assert fake.state()["objects"] == before


# --- idempotency ------------------------------------------------------------------------------------------------
def test_the_same_request_with_the_same_key_is_done_once(shop: Shop) -> None:
    first = shop.v1.customers.create({"email": "once@example.com"}, {"idempotency_key": "once"})
    again = shop.v1.customers.create({"email": "once@example.com"}, {"idempotency_key": "once"})
    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert len(shop.v1.customers.list({"email": "once@example.com"}).data) == 1


def test_the_same_key_with_other_parameters_is_an_error(shop: Shop) -> None:
    shop.v1.customers.create({"email": "one@example.com"}, {"idempotency_key": "shared"})
    with pytest.raises(stripe.IdempotencyError) as refused:
        shop.v1.customers.create({"email": "two@example.com"}, {"idempotency_key": "shared"})
    assert refused.value.http_status == 400


def test_a_request_that_was_not_valid_leaves_its_key_free(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.products.create({"name": ""}, {"idempotency_key": "again"})
    assert shop.v1.products.create({"name": "Second try"}, {"idempotency_key": "again"}).id


def test_a_key_is_forgotten_after_a_day() -> None:
    with running() as fake:
        shop = Shop(fake)
        first = shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "old"})
        fake.advance(days=1, seconds=60)
        second = shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "old"})
    assert first.id != second.id


def test_a_declined_payment_is_remembered_for_its_key(shop: Shop, fake: StripeFake) -> None:
    subscription = shop.subscribed()
    fake.decline(-1)
    shop.switch(subscription, "pro_month", proration_behavior="always_invoice")
    invoice = str(shop.v1.subscriptions.retrieve(subscription.id).latest_invoice)
    with pytest.raises(stripe.CardError):
        shop.v1.invoices.pay(invoice, {}, {"idempotency_key": "pay-once"})
    fake.decline(0)
    with pytest.raises(stripe.CardError) as again:
        shop.v1.invoices.pay(invoice, {}, {"idempotency_key": "pay-once"})
    assert again.value.code == "card_declined"
    assert shop.v1.invoices.retrieve(invoice).status == "open"


# --- lists and expansion ----------------------------------------------------------------------------------------
def test_lists_come_newest_first_a_page_at_a_time(shop: Shop) -> None:
    made = [shop.v1.products.create({"name": f"Page {number}"}).id for number in range(7)]
    page = shop.v1.products.list({"limit": 3})
    assert [each.id for each in page.data] == made[:-4:-1]
    assert page.has_more
    seen = [each.id for each in page.auto_paging_iter()]
    assert seen[:7] == made[::-1]
    assert len(seen) == len(set(seen))


def test_a_page_can_be_walked_backwards(shop: Shop) -> None:
    made = [shop.v1.products.create({"name": f"Back {number}"}).id for number in range(3)]
    page = shop.v1.products.list({"limit": 1, "ending_before": made[0]})
    assert [each.id for each in page.data] == [made[1]]
    assert page.has_more


@pytest.mark.parametrize("limit", ["0", "101"])
def test_a_page_has_one_to_a_hundred_objects(fake: StripeFake, limit: str) -> None:
    answer = fake.browser.get(
        f"{fake.url}/v1/products", params={"limit": limit}, headers={"Authorization": f"Bearer {fake.key}"}
    )
    assert answer.status_code == 400


def test_prices_are_found_by_their_lookup_keys(shop: Shop) -> None:
    found = shop.v1.prices.list({"lookup_keys": ["pro_year", "starter_month"], "expand": ["data.product"]})
    assert {each.lookup_key for each in found.data} == {"pro_year", "starter_month"}
    assert {each.product.name for each in found.data if isinstance(each.product, stripe.Product)} == {"Starter", "Pro"}


def test_a_lookup_key_moves_only_when_that_is_asked_for() -> None:
    with running() as fresh:
        shop = Shop(fresh)
        product = shop.v1.products.list().data[0].id

        def dearer(**more: Any) -> stripe.Price:
            wanted = {"product": product, "currency": "usd", "unit_amount": 3_900, "lookup_key": "pro_month", **more}
            return shop.v1.prices.create(wanted)  # type: ignore[arg-type] # built at run time

        with pytest.raises(stripe.InvalidRequestError) as taken:
            dearer()
        assert taken.value.param == "lookup_key"
        new = dearer(transfer_lookup_key=True)
        assert [each.id for each in shop.v1.prices.list({"lookup_keys": ["pro_month"]}).data] == [new.id]
        assert shop.v1.prices.retrieve(shop.prices["pro_month"]).lookup_key is None


def test_what_cannot_be_expanded_is_refused(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.v1.customers.retrieve(shop.customer().id, {"expand": ["email"]})
    assert "cannot be expanded" in str(refused.value)


def test_the_period_is_on_the_item_and_the_subscription_on_the_invoices_parent(shop: Shop) -> None:
    subscription = shop.subscribed()
    assert "current_period_end" not in subscription
    assert item_of(subscription).current_period_end > item_of(subscription).current_period_start
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert "subscription" not in invoice
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert plain(invoice.parent.subscription_details.metadata) == {"workspace": "7"}


def test_metadata_is_merged_and_an_empty_value_removes_a_key(shop: Shop) -> None:
    customer = shop.customer()
    shop.v1.customers.update(customer.id, {"metadata": {"workspace": "", "plan": "pro"}})
    assert plain(shop.v1.customers.retrieve(customer.id).metadata) == {"plan": "pro"}
    shop.v1.customers.update(customer.id, {"metadata": ""})
    assert plain(shop.v1.customers.retrieve(customer.id).metadata) == {}


def test_a_deleted_customer_is_a_stump_and_its_subscription_ends(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribed(customer=customer.id)
    assert shop.v1.customers.delete(customer.id).deleted
    assert shop.subscription(subscription.id).status == "canceled"
    assert plain(shop.v1.customers.retrieve(customer.id)) == {"id": customer.id, "object": "customer", "deleted": True}
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.update(customer.id, {"name": "Ghost"})
    assert customer.id not in {each.id for each in shop.v1.customers.list({"limit": 100}).data}


# --- cards ------------------------------------------------------------------------------------------------------
def test_a_card_that_is_refused_cannot_be_attached(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as refused:
        shop.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": shop.customer().id})
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")


def test_a_card_that_fails_later_can_be_attached_and_does_not_pay(shop: Shop) -> None:
    customer = shop.customer()
    card = shop.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    shop.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    made = shop.v1.subscriptions.create({"customer": customer.id, "items": [{"price": shop.prices["pro_month"]}]})
    assert made.status == "incomplete"
    with pytest.raises(stripe.CardError):
        shop.v1.subscriptions.create(
            {
                "customer": customer.id,
                "items": [{"price": shop.prices["pro_month"]}],
                "payment_behavior": "error_if_incomplete",
            }
        )
    assert len(shop.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data) == 1


def test_somebody_elses_card_cannot_be_used(shop: Shop) -> None:
    card = shop.v1.payment_methods.attach("pm_card_visa", {"customer": shop.customer().id})
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.update(shop.customer().id, {"invoice_settings": {"default_payment_method": card.id}})


# --- outages ----------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("_no_outage")
@pytest.mark.parametrize(
    ("kind", "problem"),
    [("500", stripe.APIError), ("429", stripe.RateLimitError), ("refuse", stripe.APIConnectionError)],
)
def test_an_outage_reaches_the_sdk_as_stripes_would(
    fake: StripeFake, kind: str, problem: type[stripe.StripeError]
) -> None:
    fake.outage(kind)
    with pytest.raises(problem):
        client(fake).v1.customers.list()
    fake.outage("")
    assert client(fake).v1.customers.list().data is not None
