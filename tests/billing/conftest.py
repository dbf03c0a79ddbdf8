"""Billing in earnest: the real SDK over HTTP against the stand-in for Stripe, whose webhooks come over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_django.fixtures import Settings

from billing import catalog, gateway
from tests.billing.payer import Payer
from tests.support import stripe_fake
from tests.support.people import make_person
from tests.support.stripe_fake import StripeFake


@pytest.fixture
def stripe(settings: Settings, lane_url: str) -> Iterator[StripeFake]:
    """A Stripe of this test's own, which knows our prices and tells our server what happens."""
    with stripe_fake.running(f"{lane_url}/billing/stripe/webhook") as fake:
        settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = fake.key, fake.webhook_secret
        settings.STRIPE_API_URL = fake.url
        gateway.forget()
        catalog.sync()
        fake.settle()  # before the test moves the clock: what is received then is the newest for good
        yield fake
        fake.webhooks(drop=["*"])
        fake.settle()
    gateway.forget()


@pytest.fixture
def new_payer(stripe: StripeFake) -> Callable[..., Payer]:
    """`new_payer()` makes a workspace on Free with an owner; `.subscribe("pro")` pays on Stripe's page."""

    def make(plan: str = "free") -> Payer:
        person = make_person()
        person.workspace.plan = plan
        person.workspace.save()
        return Payer(stripe, person)

    return make


@pytest.fixture
def payer(new_payer: Callable[..., Payer]) -> Payer:
    """The owner of a workspace on Free."""
    return new_payer()
