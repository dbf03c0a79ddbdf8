"""Webhooks of the stand-in: signed as the SDK checks them, tried again, doubled, shuffled, held back and lost."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from threading import Event as Flag

import pytest
import stripe

from billing.demo.webhooks import RETRY_SECONDS
from tests.support.servers import thread_server
from tests.support.stripe_fake import StripeFake, running
from tests.support.stripe_shop import Shop


class Receiver:
    """What gets the webhooks: keeps each as the SDK read it, and answers with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[bytes, str]] = []

    def __call__(self, payload: bytes, signature: str) -> int:
        self.got.append((payload, signature))
        return self.status

    def ids(self) -> list[str]:
        return [json.loads(payload)["id"] for payload, _ in self.got]

    def kinds(self) -> list[str]:
        return [json.loads(payload)["type"] for payload, _ in self.got]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def fake(receiver: Receiver) -> Iterator[StripeFake]:
    with running(post=receiver) as fake:
        yield fake


@pytest.fixture
def shop(fake: StripeFake) -> Shop:
    return Shop(fake)


def test_every_event_is_signed_and_read_by_the_sdk(fake: StripeFake, shop: Shop, receiver: Receiver) -> None:
    shop.subscribed()
    fake.settle()
    assert receiver.ids() == [event["id"] for event in fake.events()]
    for payload, signature in receiver.got:
        event = stripe.Webhook.construct_event(payload, signature, fake.webhook_secret)
        assert (event.api_version, event.livemode) == ("2026-10-28.endive", False)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(payload + b" ", signature, fake.webhook_secret)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(payload, signature, "whsec_another")


def test_subscribing_tells_everything_that_stripe_tells(fake: StripeFake, shop: Shop, receiver: Receiver) -> None:
    fake.settle()
    receiver.got.clear()
    shop.subscribed()
    fake.settle()
    assert [kind for kind in receiver.kinds() if not kind.startswith("customer.updated")] == [
        "customer.created",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "customer.subscription.updated",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ]


def test_an_event_says_what_was_before_and_which_request_did_it(fake: StripeFake, shop: Shop) -> None:
    customer = shop.customer()
    shop.v1.customers.update(
        customer.id, {"name": "New name", "metadata": {"more": "1"}}, {"idempotency_key": "rename"}
    )
    event = fake.events("customer.updated")[-1]
    assert event["data"]["previous_attributes"] == {"name": "Acme", "metadata": {"more": None}}
    assert event["data"]["object"]["name"] == "New name"
    assert event["request"]["idempotency_key"] == "rename"
    assert event["request"]["id"].startswith("req_")
    fake.advance(days=1)
    shop.v1.customers.update(customer.id, {"name": "New name"})
    assert len(fake.events("customer.updated")) == 1, "nothing changed, nothing is told"


def test_what_the_clock_does_has_no_request(fake: StripeFake, shop: Shop) -> None:
    shop.subscribed()
    fake.advance(days=32)
    assert fake.events("invoice.paid")[-1]["request"] == {"id": None, "idempotency_key": None}


def test_a_refused_event_is_tried_again_later_and_no_other_waits_for_it(
    fake: StripeFake, shop: Shop, receiver: Receiver
) -> None:
    fake.settle()
    receiver.got.clear()
    receiver.status = 500
    customer = shop.customer()
    fake.settle()
    assert len(receiver.got) == 1
    assert shop.v1.events.list({"type": "customer.created"}).data[0].pending_webhooks == 1
    for pause in RETRY_SECONDS[:3]:
        fake.advance(seconds=pause - 2)
        fake.settle()
        before = len(receiver.got)
        fake.advance(seconds=2)
        fake.settle()
        assert len(receiver.got) == before + 1
    receiver.status = 200
    fake.advance(seconds=RETRY_SECONDS[3])
    fake.settle()
    assert len(set(receiver.ids())) == 1
    assert len(receiver.got) == 5
    assert shop.v1.events.list({"type": "customer.created"}).data[0].pending_webhooks == 0
    assert fake.state()["deliveries"] == []
    assert customer.id in receiver.got[0][0].decode()


def test_after_three_days_an_event_is_given_up(fake: StripeFake, shop: Shop, receiver: Receiver) -> None:
    receiver.status = 500
    shop.customer()
    fake.settle()
    for pause in RETRY_SECONDS:
        fake.advance(seconds=pause)
        fake.settle()
    assert fake.state()["deliveries"] == []
    assert 2.5 * 86_400 < sum(RETRY_SECONDS) < 3.5 * 86_400


def test_events_come_twice_when_asked(fake: StripeFake, shop: Shop, receiver: Receiver) -> None:
    fake.settle()
    receiver.got.clear()
    fake.webhooks(copies=2)
    shop.customer()
    fake.settle()
    assert receiver.kinds() == ["customer.created", "customer.created"]
    assert len(set(receiver.ids())) == 1


def test_events_come_in_disorder_when_asked(fake: StripeFake, shop: Shop, receiver: Receiver) -> None:
    fake.settle()
    receiver.got.clear()
    random.seed(7)
    fake.webhooks(is_held=True, is_shuffled=True)
    shop.subscribed()
    fake.settle()
    assert receiver.got == []
    fake.webhooks(is_held=False)
    fake.settle()
    sent = [event["id"] for event in fake.events()][-len(receiver.got) :]
    assert sorted(receiver.ids()) == sorted(sent)
    assert receiver.ids() != sent


def test_events_held_back_are_not_forgotten_when_time_moves(fake: StripeFake, shop: Shop, receiver: Receiver) -> None:
    fake.settle()
    receiver.got.clear()
    fake.webhooks(is_held=True)
    shop.subscribed()
    fake.advance(days=65)
    fake.webhooks(is_held=False)
    fake.settle()
    assert "checkout.session.completed" in receiver.kinds()
    assert receiver.kinds().count("invoice.paid") == 3


def test_events_get_lost_when_asked_and_can_be_replayed(fake: StripeFake, shop: Shop, receiver: Receiver) -> None:
    fake.webhooks(drop=["customer.created"])
    shop.customer()
    fake.settle()
    assert "customer.created" not in receiver.kinds()
    fake.webhooks(drop=[])
    lost = fake.events("customer.created")[-1]["id"]
    assert shop.v1.events.retrieve(lost).type == "customer.created"
    fake.replay(lost)
    fake.settle()
    assert receiver.ids()[-1] == lost
    fake.replay()
    fake.settle()
    assert {event["id"] for event in fake.events()} <= set(receiver.ids())


def test_an_unknown_way_of_delivery_is_refused(fake: StripeFake) -> None:
    answer = fake.browser.post(f"{fake.url}/demo/webhooks", json={"backwards": True})
    assert answer.status_code == 400


def test_events_go_over_http_and_wait_while_nobody_listens() -> None:
    got: list[dict[str, str]] = []
    arrived = Flag()

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        message = await receive()  # type: ignore[operator] # an ASGI server's
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}  # type: ignore[attr-defined] # so is this
        got.append({**headers, "body": message["body"].decode(), "path": str(scope["path"])})
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator] # and this
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator] # and this
        arrived.set()

    async def _live(receive: object, send: object) -> None:
        while True:
            kind = (await receive())["type"]  # type: ignore[operator] # an ASGI server's
            await send({"type": f"{kind}.complete"})  # type: ignore[operator] # an ASGI server's
            if kind == "lifespan.shutdown":
                return

    with thread_server(app) as server, running(f"{server.url}/hook") as fake:
        Shop(fake).customer()
        fake.settle()
        assert arrived.wait(10)
        assert {each["path"] for each in got} == {"/hook"}
        last = got[-1]
        event = stripe.Webhook.construct_event(last["body"], last["stripe-signature"], fake.webhook_secret)
        assert event.type == "customer.created"
    with running("http://127.0.0.1:1/nobody") as fake:
        Shop(fake)
        fake.settle()
        assert {each["attempts"] for each in fake.state()["deliveries"]} == {1}
