"""`manage.py sync_stripe`: the plans in the code become Stripe's products, prices and portal, once."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import plans
from billing import catalog, gateway
from billing.demo.world import API_VERSION
from crosswire.lib.errors import CrossWireError
from tests.billing.payer import Payer
from tests.support.stripe_fake import StripeFake


def printed(*arguments: str) -> str:
    said = StringIO()
    call_command("sync_stripe", *arguments, stdout=said)
    return said.getvalue()


def prices(stripe: StripeFake) -> dict[str, tuple[int, bool]]:
    with stripe.world.lock:
        return {each["id"]: (each["unit_amount"], each["active"]) for each in stripe.world.all("price")}


def test_it_makes_two_products_four_prices_and_a_portal(stripe: StripeFake) -> None:
    assert sorted(amount for amount, _ in prices(stripe).values()) == [900, 2_900, 9_000, 29_000]
    assert [each["id"] for each in stripe.world.all("product")] == ["crosswire_starter", "crosswire_pro"]
    features = stripe.world.all("billing_portal.configuration")[-1]["features"]
    assert features["subscription_cancel"]["mode"] == "at_period_end"
    assert not features["subscription_update"]["enabled"], "plans change on our pages alone"


def test_it_changes_nothing_twice(stripe: StripeFake) -> None:
    before = prices(stripe)
    assert printed().startswith("Stripe has everything as it should be.")
    assert prices(stripe) == before


def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    stripe: StripeFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prices(stripe)
    monkeypatch.setitem(plans.PLANS, "pro", replace(plans.PLANS["pro"], price_month=3_100, title="Professional"))
    said = printed("--dry-run")
    assert "would be: product crosswire_pro updated" in said
    assert "would be: price crosswire_pro_month made: 3100 cents" in said
    assert prices(stripe) == before


def test_a_new_price_takes_the_key_over_and_who_subscribed_pays_what_they_agreed_to(
    payer: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer.subscribe("pro")
    old = payer.subscription.price_id
    monkeypatch.setitem(plans.PLANS, "pro", replace(plans.PLANS["pro"], price_month=3_100))
    with pytest.raises(CrossWireError, match="sync_stripe"):
        catalog.price_id("pro", "month")
    assert "price crosswire_pro_month made" in printed()
    assert prices(payer.stripe)[old] == (2_900, False)
    new = catalog.price_id("pro", "month")
    assert prices(payer.stripe)[new] == (3_100, True)
    payer.stripe.advance(days=32)
    payer.stripe.settle()
    assert payer.plan == "pro"
    assert payer.standing.amount == 2_900
    assert payer.standing.invoices[0].total == 2_900


def test_it_tells_what_is_wrong_with_the_webhook(stripe: StripeFake) -> None:
    assert "Stripe has no webhook endpoint http://localhost:8000/billing/stripe/webhook" in printed()
    url = "http://localhost:8000/billing/stripe/webhook"
    wanted: Any = {"url": url, "enabled_events": ["invoice.paid"], "api_version": API_VERSION}
    made = gateway.ask(lambda each: each.v1.webhook_endpoints.create(wanted))
    assert "is not told of charge.dispute.closed" in printed()
    gateway.ask(lambda each: each.v1.webhook_endpoints.update(made["id"], {"enabled_events": ["*"], "disabled": True}))
    assert "disabled" in printed()


def test_while_stripe_is_away_it_says_so(stripe: StripeFake) -> None:
    stripe.outage("429")
    with pytest.raises(CommandError, match="does not answer"):
        printed()
