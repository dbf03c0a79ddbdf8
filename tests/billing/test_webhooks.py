"""The address Stripe tells us at: who may, what is stored, and that nothing is lost or done twice."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from billing import refreshing, webhooks
from billing.demo.webhooks import signature
from billing.health import health
from billing.models import Customer, StripeEvent
from crosswire.lib import clock as product_clock
from tests.billing.payer import Payer
from tests.conftest import Clock
from tests.support.races import at_once
from tests.support.stripe_fake import StripeFake

VERSION = "2026-10-28.endive"


def an_event(kind: str = "customer.subscription.updated", about: Any = None, **fields: Any) -> dict[str, Any]:
    """Return an event as Stripe sends them."""
    return {
        "id": f"evt_{secrets.token_hex(12)}",
        "object": "event",
        "api_version": VERSION,
        "created": int(product_clock.now().timestamp()),
        "data": {"object": about or {"id": "sub_nobody", "object": "subscription", "customer": "cus_nobody"}},
        "livemode": False,
        "type": kind,
        **fields,
    }


@pytest.fixture
def send(stripe: StripeFake) -> Callable[..., int]:
    """`send(event)` posts an event, signed, as Stripe does; returns the status."""

    def post(event: Any, *, secret: str = "", at: int | None = None, signed: str | None = None) -> int:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        header = signature(secret or stripe.webhook_secret, body, at or int(time.time())) if signed is None else signed
        answer = Client(enforce_csrf_checks=True).post(
            "/billing/stripe/webhook",
            body,
            content_type="application/json",
            headers={"stripe-signature": header, "host": "localhost"},
        )
        return answer.status_code

    return post


def stored(event: dict[str, Any]) -> StripeEvent | None:
    return StripeEvent.objects.filter(stripe_id=event["id"]).first()


def test_what_stripe_did_not_sign_is_refused_and_not_stored(send: Callable[..., int], stripe: StripeFake) -> None:
    event, now = an_event(), int(time.time())
    body = json.dumps(event).encode()
    other = signature(stripe.webhook_secret, body + b" ", now)
    for wrong in ("", "t=1", "nonsense", "t=x,v1=y", f"t={now},v1=é", f"t={now},v0={'0' * 64}", "t=,v1=", other):
        assert send(event, signed=wrong) == 400
    assert send(event, secret="whsec_another") == 400
    assert send(event, at=now - 600) == 400, "recorded and sent again later"
    assert stored(event) is None


def test_while_a_secret_is_replaced_both_are_good(
    send: Callable[..., int], stripe: StripeFake, settings: Settings
) -> None:
    settings.STRIPE_WEBHOOK_SECRET = f"whsec_new, {stripe.webhook_secret}"
    assert [send(an_event(), secret=secret) for secret in ("whsec_new", stripe.webhook_secret)] == [200, 200]
    settings.STRIPE_WEBHOOK_SECRET = "whsec_new"
    assert send(an_event(), secret=stripe.webhook_secret) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"\x00",
        b"null",
        b"[]",
        b"{",
        b'{"id": "evt_1"}',
        b"[" * 100_000,
        b'{"id": 1e999}',
        b'"\\ud800"',
    ],
    ids=str,
)
def test_what_is_signed_and_no_event_is_refused(send: Callable[..., int], stripe: StripeFake, body: bytes) -> None:
    text = body.decode("utf-8", "replace").encode()
    assert send(body, signed=signature(stripe.webhook_secret, text, int(time.time()))) == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "evt_\x00"},
        {"id": "x" * 300},
        {"id": 7},
        {"type": "a\x00b"},
        {"type": "é"},
        {"object": "v2.core.event"},
        {"created": -1},
        {"created": 10**15},
        {"created": "now"},
        {"livemode": None},
        {"data": {}},
        {"data": {"object": []}},
    ],
    ids=str,
)
def test_an_event_with_nonsense_in_it_is_refused(send: Callable[..., int], fields: dict[str, Any]) -> None:
    event = an_event(**fields)
    assert send(event) == 400
    assert not StripeEvent.objects.filter(stripe_id=str(event["id"]).replace("\x00", "")).exists()


def test_text_with_a_nul_is_stored_as_it_came_until_it_is_handled(stripe: StripeFake) -> None:
    event = an_event("customer.updated", {"id": "cus_nobody", "object": "customer", "name": "a\x00b\ud800"})
    event["api_version"] = "\x00"
    body = json.dumps(event).encode()
    found = webhooks.receive(body, signature(stripe.webhook_secret, body, int(time.time())))
    found.refresh_from_db()
    assert json.loads(found.payload) == event
    webhooks.handle(found)
    found.refresh_from_db()
    assert found.processed_at is not None
    assert found.payload == "", "names and addresses, which nothing asks for any more"


def test_a_huge_body_is_refused(send: Callable[..., int]) -> None:
    assert send(an_event(about={"id": "x", "object": "x", "text": "x" * 600_000})) == 413
    assert send(an_event(about={"id": "x", "object": "x", "text": "x" * 2_000_000})) == 413


def test_an_event_of_the_other_mode_is_refused(
    send: Callable[..., int], settings: Settings, stripe: StripeFake
) -> None:
    live = an_event(livemode=True)
    assert send(live) == 400
    assert stored(live) is None
    settings.STRIPE_SECRET_KEY = "sk_live_x"
    assert (send(an_event(livemode=True)), send(an_event())) == (200, 400)


def test_an_event_of_another_version_is_told_of_and_what_it_is_about_read_in_ours(
    send: Callable[..., int], payer: Payer
) -> None:
    StripeEvent.objects.filter(received_at__gt=product_clock.now()).delete()  # of tests that moved the clock
    payer.stripe.webhooks(drop=["*"])
    payer.subscribe("starter")
    about = {"id": "sub_1", "object": "subscription", "customer": payer.customer.stripe_id}
    event = an_event(about=about, api_version="2020-08-27")
    assert send(event) == 200
    found = stored(event)
    assert found is not None
    assert "2020-08-27" in found.problem
    assert any("2020-08-27" in each for each in health().problems)
    assert send(an_event()) == 200
    assert not any("no customer of ours" in each for each in health().problems), "that is nothing to worry about"
    assert payer.plan == "starter"


def test_unknown_types_are_stored_and_that_is_all(send: Callable[..., int]) -> None:
    event = an_event("treasury.credit_reversal.posted", {"id": "x_1", "object": "something"})
    assert send(event) == 200
    found = stored(event)
    assert found is not None
    assert found.processed_at is not None


@pytest.mark.parametrize("kind", webhooks.HANDLERS)
def test_what_another_application_has_at_stripe_is_left_alone(send: Callable[..., int], kind: str) -> None:
    family = kind.rpartition(".")[0].rpartition(".")[2]
    for about in ({"id": f"{family}_x", "object": family, "customer": "cus_theirs"}, {"id": "x_y", "object": family}):
        if family in ("refund", "dispute"):
            continue  # it is read again first: below
        event = an_event(kind, about)
        assert send(event) == 200
        found = stored(event)
        assert found is not None
        assert found.processed_at is not None


def test_another_applications_subscription_that_names_a_workspace_of_ours_changes_nothing(
    send: Callable[..., int], new_payer: Callable[..., Payer]
) -> None:
    payer, victim = new_payer(), new_payer()
    payer.subscribe("pro")
    metadata = {"crosswire_workspace": victim.workspace.slug}
    theirs = {"id": "sub_x", "object": "subscription", "customer": "cus_theirs", "metadata": metadata}
    ours = {**theirs, "customer": payer.customer.stripe_id}
    assert [send(an_event(about=each)) for each in (theirs, ours)] == [200, 200]
    assert (payer.plan, victim.plan) == ("pro", "free")


def test_only_post_is_answered(stripe: StripeFake) -> None:
    assert Client().get("/billing/stripe/webhook", headers={"host": "localhost"}).status_code == 405


def test_a_failure_is_answered_500_and_the_event_comes_again(send: Callable[..., int], payer: Payer) -> None:
    payer.stripe.webhooks(drop=["*"])
    payer.subscribe("starter")
    event = an_event(about={"id": "sub_1", "object": "subscription", "customer": payer.customer.stripe_id})
    payer.stripe.outage("500")
    assert [send(event), send(event)] == [500, 500]
    found = stored(event)
    assert found is not None
    assert (found.processed_at, found.attempts) == (None, 2)
    assert "does not answer" in found.problem
    assert payer.plan == "free"
    payer.stripe.outage("")
    assert send(event) == 200
    found.refresh_from_db()
    assert (found.attempts, found.problem) == (3, "")
    assert found.processed_at is not None
    assert payer.plan == "starter"


@pytest.fixture
def _nothing_waits() -> None:
    """See to it that no event of another test is left for the schedule."""
    StripeEvent.objects.filter(processed_at=None).update(processed_at=product_clock.now())


@pytest.mark.usefixtures("_nothing_waits")
def test_what_was_stored_and_not_handled_is_handled_by_the_schedule(
    send: Callable[..., int], payer: Payer, clock: Clock
) -> None:
    payer.stripe.webhooks(drop=["*"])
    payer.subscribe("starter")
    payer.stripe.outage("500")
    event = an_event(about={"id": "sub_1", "object": "subscription", "customer": payer.customer.stripe_id})
    assert send(event) == 500
    payer.stripe.outage("")
    assert payer.plan == "free"
    clock.forward(minutes=3)
    webhooks.handle_waiting(most=10_000)
    found = stored(event)
    assert found is not None
    assert found.processed_at is not None
    assert payer.plan == "starter"


@pytest.mark.usefixtures("_nothing_waits")
def test_while_stripe_is_away_the_schedule_does_not_ask_for_each_event(
    send: Callable[..., int], payer: Payer, clock: Clock
) -> None:
    payer.stripe.webhooks(drop=["*"])
    payer.subscribe("starter")
    payer.stripe.outage("429")
    about = {"id": "sub_1", "object": "subscription", "customer": payer.customer.stripe_id}
    assert [send(an_event(about=about)) for _ in range(3)] == [500, 500, 500]
    clock.forward(minutes=3)
    assert webhooks.handle_waiting(most=10_000)["failed"] == 1
    payer.stripe.outage("")
    webhooks.handle_waiting(most=10_000)
    assert not StripeEvent.objects.filter(customer_stripe_id=payer.customer.stripe_id, processed_at=None).exists()
    assert payer.plan == "starter"


def test_an_event_that_was_handled_is_not_handled_again(send: Callable[..., int], payer: Payer) -> None:
    payer.subscribe("starter")
    about = {"id": payer.subscription.stripe_id, "object": "subscription", "customer": payer.customer.stripe_id}
    event = an_event(about=about)
    assert send(event) == 200
    reads = payer.customer.reads_begun
    assert send(event) == 200
    assert payer.customer.reads_begun == reads
    found = stored(event)
    assert found is not None
    assert found.attempts == 1


def test_the_same_event_at_the_same_moment_is_stored_once_and_applied_once(payer: Payer, stripe: StripeFake) -> None:
    stripe.webhooks(drop=["*"])
    payer.subscribe("starter")
    about = {"id": "sub_1", "object": "subscription", "customer": payer.customer.stripe_id}
    body = json.dumps(an_event(about=about)).encode()

    def deliver() -> None:
        webhooks.handle(webhooks.receive(body, signature(stripe.webhook_secret, body, int(time.time()))))

    at_once(*[deliver] * 6)
    assert (
        StripeEvent.objects.filter(customer_stripe_id=payer.customer.stripe_id, type__contains="updated").count() == 1
    )
    assert payer.kinds() == ["subscribed", "paid"]
    assert payer.plan == "starter"


def test_old_events_are_deleted_in_the_end(send: Callable[..., int], clock: Clock) -> None:
    event = an_event()
    send(event)
    clock.forward(days=29)
    webhooks.prune()
    assert stored(event) is not None
    clock.forward(days=2)
    webhooks.prune()
    assert stored(event) is None


def test_of_two_reads_the_one_that_began_last_is_kept(payer: Payer) -> None:
    from billing import applying, reading  # noqa: PLC0415 - this test's alone

    payer.stripe.webhooks(drop=["*"])
    payer.subscribe("starter")
    customer = payer.customer
    refreshing.refresh(customer)
    early = applying.begin(customer.pk)
    before = reading.read(customer.stripe_id)
    payer.change("pro")
    assert payer.plan == "pro"
    assert not applying.apply(customer.pk, early, before), "it began before what is stored"
    assert payer.plan == "pro"
    assert Customer.objects.get(pk=customer.pk).read_applied > early
