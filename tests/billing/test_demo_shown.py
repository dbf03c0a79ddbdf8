"""The demo: what its portal says of a planned change, and the way from the Billing page to its controls."""

from __future__ import annotations

from pytest_django.fixtures import Settings

from billing import subscribing
from tests.billing.payer import Payer
from tests.conftest import MakeWorkspace
from tests.support import pages
from tests.support.people import make_person

CONTROLS = 'href="/demo/stripe/demo/"'


def test_the_portal_shows_a_change_that_is_planned(payer: Payer) -> None:
    payer.subscribe("pro")
    url = subscribing.open_portal(payer.workspace, by="x")
    assert "Changes to" not in payer.stripe.browser.get(url).text
    payer.change("starter")
    text = pages.text_of(payer.stripe.browser.get(subscribing.open_portal(payer.workspace, by="x")).text)
    assert "Changes to CrossWire Starter, $9.00 per month, from" in text


def test_the_billing_page_leads_who_may_pay_to_the_demos_controls(
    settings: Settings, make_workspace: MakeWorkspace
) -> None:
    settings.STRIPE_SECRET_KEY = ""
    ada = make_person(make_workspace("free").workspace)
    assert CONTROLS in pages.shown(ada, "billing")
    assert CONTROLS not in pages.shown(make_person(ada.workspace, "admin"), "billing")
    settings.STRIPE_SECRET_KEY = "sk_test_x"
    assert CONTROLS not in pages.shown(ada, "billing")
