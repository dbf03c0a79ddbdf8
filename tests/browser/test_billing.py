"""Paying, and not paying, in a browser: from the button through Stripe's pages and back, with an agent looking on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.async_api import expect
from pytest_django.fixtures import Settings

from accounts.plans import upgrade_url
from billing import grace
from crosswire.lib import clock as product_clock
from tests.billing.conftest import stripe
from tests.billing.payer import Payer
from tests.billing.reading import renew
from tests.conftest import Clock, SdkClient
from tests.support.browsers import NARROW, WatchedPage, chromium
from tests.support.cast import Caller, in_thread, make_workspace
from tests.support.clients import Mode
from tests.support.messages import use_up
from tests.support.people import make_person
from tests.support.sites import forget_public_pages
from tests.support.stripe_fake import StripeFake

pytestmark = pytest.mark.slow
__all__ = ["stripe"]

SEND = {"sender": "ann", "content": "x"}


@pytest.fixture
def caller(settings: Settings, lane_url: str) -> Iterator[Caller]:
    """An agent of a workspace on Free; the server is reached where the product believes it to be."""
    settings.PUBLIC_URL = lane_url
    forget_public_pages()
    yield make_workspace("free")
    forget_public_pages()


@pytest.fixture
def payer(stripe: StripeFake, caller: Caller) -> Payer:
    """The owner of that workspace."""
    return Payer(stripe, make_person(caller.workspace))


async def pay(page: WatchedPage) -> None:
    """Fill in the card on Stripe's page and press its button."""
    await page.page.get_by_label("Email").fill("ada@example.com")
    await page.page.get_by_label("Card number").fill("4242 4242 4242 4242")
    await page.page.get_by_label("Expiry").fill("12 / 40")
    await page.page.get_by_label("CVC").fill("123")
    await page.page.get_by_role("button", name="Subscribe and pay").click()


@pytest.mark.parametrize("mode", ["2026-07-28", "2025-11-25"])
async def test_a_refused_agent_goes_on_in_the_same_connection_once_its_owner_has_paid(
    lane_url: str, payer: Payer, caller: Caller, sdk_client: SdkClient, mode: Mode
) -> None:
    in_thread(lambda: use_up(caller, 100))
    async with (
        sdk_client(caller, mode) as agent,
        chromium() as browser,
        browser.page(lane_url, payer.person) as page,
    ):
        refused = await agent.call_tool("send_message", SEND)
        assert refused.is_error
        assert refused.meta is not None
        told = refused.meta["crosswire/error"]
        assert (told["code"], told["plan"], told["used"]) == ("quota_exceeded", "free", 100)
        assert told["upgrade_url"] == upgrade_url(caller.workspace.slug)
        await page.open(told["upgrade_url"])
        await expect(page.page.get_by_text("Used up")).to_be_visible()
        await page.examine()
        await page.page.get_by_role("link", name="Upgrade to Starter").click()
        await expect(page.page.get_by_role("heading", name="Starter, $9 a month")).to_be_visible()
        await page.examine()
        await page.page.get_by_role("button", name="Go on to the payment").click()
        await pay(page)
        await expect(page.page.get_by_text("Thank you. The workspace is on Starter")).to_be_visible()
        assert page.page.url == f"{lane_url}{payer.person.home}billing"
        await page.examine()
        assert not (await agent.call_tool("send_message", SEND)).is_error


async def test_the_plans_lead_to_paying_by_keyboard_and_giving_up_leads_back(lane_url: str, payer: Payer) -> None:
    async with chromium() as browser, browser.page(lane_url, payer.person) as page:
        await page.open("/pricing")
        await page.examine()
        await page.page.get_by_role("link", name="Choose Pro").press("Enter")
        await expect(page.page.get_by_role("heading", name="Upgrade to Pro")).to_be_visible()
        await page.page.get_by_role("link", name="yearly").press("Enter")
        await expect(page.page.get_by_role("heading", name="Pro, $290 a year")).to_be_visible()
        await page.page.get_by_role("button", name="Go on to the payment").press("Enter")
        await page.page.get_by_role("link", name="Back").press("Enter")
        await page.page.wait_for_url(f"{lane_url}{payer.person.home}billing")
        await expect(page.page.get_by_text("Free for as long as you like")).to_be_visible()
        page.assert_quiet()


async def test_a_smaller_plan_and_a_cancellation_are_chosen_and_taken_back(lane_url: str, payer: Payer) -> None:
    in_thread(lambda: payer.subscribe("pro"))
    async with chromium() as browser, browser.page(lane_url, payer.person) as page:
        await page.open(f"{payer.person.home}billing")
        await page.page.get_by_role("link", name="Change to Starter").click()
        await page.examine()
        await page.page.get_by_role("button", name="Change to Starter").click()
        await expect(page.page.get_by_text("The plan changes to Starter on")).to_be_visible()
        await page.examine()
        await page.page.get_by_role("link", name="Stay on Pro").first.click()
        await page.examine()
        await page.page.get_by_role("button", name="Stay on Pro").click()
        await expect(page.page.get_by_text("Nothing changes: the subscription goes on.")).to_be_visible()
        await page.page.get_by_role("link", name="Cancel the subscription").first.click()
        await page.examine()
        await page.page.get_by_role("button", name="Cancel the subscription").click()
        await expect(page.page.get_by_text("Cancelled: the subscription ends on")).to_be_visible()
        await page.examine()
        await page.open(f"{payer.person.home}keys")
        await expect(page.page.get_by_text("then the workspace goes to Free")).to_be_visible()
        await page.examine()
        in_thread(lambda: renew(payer))
        await page.open(f"{payer.person.home}billing")
        await expect(page.page.get_by_role("heading", name="Free").first).to_be_visible()
        await expect(page.page.get_by_text("is kept until")).to_be_visible()
        await page.examine()


async def test_a_payment_fails_the_grace_passes_and_the_payment_brings_the_plan_back(
    lane_url: str, payer: Payer, clock: Clock
) -> None:
    in_thread(lambda: payer.subscribe("pro"))
    payer.stripe.decline(-1)
    in_thread(lambda: renew(payer))
    async with chromium() as browser, browser.page(lane_url, payer.person) as page:
        await page.open(payer.person.home)
        await expect(page.page.get_by_text("A payment failed: Pro goes on until")).to_be_visible()
        await page.examine()
        await page.page.get_by_role("link", name="Pay, or change the card").click()
        await expect(page.page.get_by_role("link", name="Pay $29.00 now")).to_be_visible()
        await page.examine()
        until = in_thread(lambda: payer.standing.grace_until)
        assert until is not None
        clock.forward(seconds=(until - product_clock.now() + timedelta(minutes=1)).total_seconds())
        in_thread(grace.keep)
        assert in_thread(lambda: payer.plan) == "free"
        await page.open(payer.person.home)
        await expect(page.page.get_by_text("The payment for Pro did not come")).to_be_visible()
        await expect(page.page.get_by_text("History older than 7 days is kept until")).to_be_visible()
        await page.examine()
        payer.stripe.recover()
        payer.stripe.settle()
        await page.open(f"{payer.person.home}billing")
        await expect(page.page.get_by_role("heading", name="Pro $29.00 a month")).to_be_visible()
        await page.examine()


async def test_the_portal_is_opened_and_left(lane_url: str, payer: Payer) -> None:
    in_thread(lambda: payer.subscribe("starter", "year"))
    async with chromium() as browser, browser.page(lane_url, payer.person) as page:
        await page.open(f"{payer.person.home}billing")
        await page.page.get_by_role("button", name="Cards, receipts and tax details").click()
        await page.page.wait_for_url(f"{payer.stripe.url}/**")
        await page.page.get_by_role("link", name="Back to").first.click()
        await page.page.wait_for_url(f"{lane_url}{payer.person.home}billing")
        page.assert_quiet()


async def test_without_javascript_on_a_phone_one_can_pay(lane_url: str, payer: Payer) -> None:
    async with (
        chromium() as browser,
        browser.page(lane_url, payer.person, java_script_enabled=False, viewport=NARROW) as page,
    ):
        await page.open(f"{payer.person.home}billing")
        await page.page.get_by_role("link", name="Yearly").click()
        await page.page.get_by_role("link", name="Upgrade to Pro").click()
        await page.page.get_by_role("button", name="Go on to the payment").click()
        await pay(page)
        await expect(page.page.get_by_text("Thank you. The workspace is on Pro")).to_be_visible()
    assert in_thread(lambda: payer.standing.interval) == "year"
