"""Every object the stand-in returns has the fields and types that Stripe's SDK declares, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from billing.demo import api
from tests.support import stripe_types
from tests.support.stripe_fake import CONFIRMS, StripeFake, running
from tests.support.stripe_shop import Shop

KINDS = {
    "billing_portal.configuration",
    "billing_portal.session",
    "charge",
    "checkout.session",
    "customer",
    "dispute",
    "event",
    "invoice",
    "invoice_payment",
    "payment_intent",
    "payment_method",
    "price",
    "product",
    "refund",
    "subscription",
    "subscription_schedule",
    "webhook_endpoint",
}
EXPANSIONS = {
    "charge": ["customer", "payment_intent", "refunds"],
    "checkout.session": ["customer", "invoice.payments", "line_items", "subscription.latest_invoice"],
    "customer": ["subscriptions", "invoice_settings.default_payment_method"],
    "dispute": ["charge.payment_intent"],
    "invoice": ["confirmation_secret", "customer", "payments.data.payment.payment_intent"],
    "invoice_payment": ["invoice", "payment.payment_intent"],
    "payment_intent": ["customer", "latest_charge", "payment_method"],
    "price": ["product"],
    "refund": ["charge", "payment_intent"],
    "subscription": ["customer", "default_payment_method", "items.data.price.product", "latest_invoice", "schedule"],
    "subscription_schedule": ["customer", "phases.items.price", "subscription"],
}


@pytest.fixture(scope="module")
def lived_in() -> Iterator[StripeFake]:
    """A stand-in in which everything has happened once."""
    with running(post=lambda payload, signature: 500) as fake:
        shop = Shop(fake)
        fake.control("webhooks", is_held=True)
        _live(fake, shop)
        yield fake


def _live(fake: StripeFake, shop: Shop) -> None:
    customer = shop.customer()
    shop.v1.checkout.sessions.expire(shop.checkout(customer.id).id)
    first = shop.subscribed(customer=customer.id)
    shop.v1.webhook_endpoints.create({"url": "http://localhost/webhook", "enabled_events": ["*"]})
    portal = shop.portal(customer.id, return_url="http://localhost/back")
    for pressed in ({"do": "card", "number": "5555 5555 5555 4444"}, {"do": "cancel"}, {"do": "resume"}):
        answer = fake.browser.post(portal, data={"subscription": first.id, **pressed})
        assert answer.status_code == 303, answer.text
    shop.switch(first, "pro_month", proration_behavior="create_prorations")
    shop.switch(first, "starter_month", proration_behavior="always_invoice")  # ends in credit
    shop.schedule(first, "pro_year")
    fake.decline()
    fake.advance(days=32)
    fake.recover()
    invoice = shop.v1.invoices.list({"subscription": first.id}).data[0]
    fake.control("refund", invoice=invoice.id, amount=100)
    dispute = fake.control("dispute", invoice=invoice.id)
    fake.control("close_dispute", dispute=dispute["id"])
    doomed = shop.subscribed("pro_month")
    fake.decline(-1)
    fake.advance(days=60)
    assert shop.subscription(doomed.id).status == "canceled"
    fake.decline(0)
    waiting = shop.subscribed(card=CONFIRMS)
    for _ in range(2):
        fake.advance(days=1)  # after which the first change is given up
        put_off = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
        assert shop.switch(waiting, "pro_month", **put_off).pending_update
    shop.portal(customer.id)


def read(fake: StripeFake, address: str, **fields: Any) -> Any:
    answer = fake.browser.get(f"{fake.url}{address}", params=fields, headers={"Authorization": f"Bearer {fake.key}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_everything_that_can_be_there_is_looked_at(lived_in: StripeFake) -> None:
    assert set(lived_in.state()["objects"]) == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_object_is_as_the_sdk_declares_it(lived_in: StripeFake, kind: str) -> None:
    with lived_in.world.lock:
        found = [lived_in.world.public(each) for each in lived_in.world.all(kind)]
    assert found
    assert [problem for each in found for problem in stripe_types.problems(each)] == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_events_carry_objects_as_the_sdk_declares_them(lived_in: StripeFake, kind: str) -> None:
    told = [event["data"]["object"] for event in lived_in.events() if event["data"]["object"]["object"] == kind]
    assert [problem for each in told for problem in stripe_types.problems(each)] == []


ADDRESSES = sorted(
    {route.path for route in api.ROUTES if route.method == "GET" and "{" not in route.path} - {"/v1/payment_methods"}
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_list_is_as_the_sdk_declares_it_and_so_is_each_object_expanded(
    lived_in: StripeFake, address: str
) -> None:
    page = read(lived_in, address, limit=100)
    assert set(page) == {"object", "url", "has_more", "data"}
    assert page["url"] == address
    for each in page["data"]:
        wanted = EXPANSIONS.get(each["object"], [])
        expanded = read(lived_in, f"{address}/{each['id']}", **{"expand[]": wanted})
        assert stripe_types.problems(expanded) == []
        for path in wanted:
            assert _is_expanded(expanded, path.split(".")), path


def _is_expanded(node: Any, path: list[str]) -> bool:
    """Return whether nothing on the path is an id any more."""
    if isinstance(node, list):
        return all(_is_expanded(each, path) for each in node)
    if not path or node is None:
        return not isinstance(node, str)
    return _is_expanded(node[path[0]], path[1:])


def test_an_invoice_to_come_is_as_the_sdk_declares_it(lived_in: StripeFake) -> None:
    active = read(lived_in, "/v1/subscriptions", status="all")["data"]
    living = next(each for each in active if each["status"] in ("active", "past_due"))
    answer = lived_in.browser.post(
        f"{lived_in.url}/v1/invoices/create_preview",
        data={"subscription": living["id"]},
        headers={"Authorization": f"Bearer {lived_in.key}"},
    )
    assert stripe_types.problems(answer.json()) == []


def test_the_walk_finds_what_is_wrong(lived_in: StripeFake) -> None:
    with lived_in.world.lock:
        product = lived_in.world.public(lived_in.world.all("product")[0])
    assert stripe_types.problems(product) == []
    spoilt = {**product, "active": "yes", "colour": "red", "type": "thing"}
    del spoilt["name"]
    assert stripe_types.problems(spoilt) == [
        "product.colour: unknown",
        "product.active: 'yes' is no <class 'bool'>",
        "product.name: missing",
        "product.type: 'thing' is none of ('good', 'service')",
    ]
