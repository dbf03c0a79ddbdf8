"""The pages of demo payments in a browser: paying, the portal, an invoice, the controls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browsers import chromium
from tests.support.cast import in_thread
from tests.support.stripe_fake import DECLINED, StripeFake, running
from tests.support.stripe_shop import Shop, invoice_of

pytestmark = pytest.mark.slow


@pytest.fixture
def fake() -> Iterator[StripeFake]:
    with running() as fake:
        yield fake


@pytest.fixture
def shop(fake: StripeFake) -> Shop:
    return Shop(fake)


async def test_a_card_is_declined_and_another_one_pays(fake: StripeFake, shop: Shop) -> None:
    session = in_thread(lambda: shop.checkout(shop.customer().id, back=f"{fake.url}/demo/"))
    async with chromium() as browser, browser.page(fake.url) as page:
        await page.open(str(session.url))
        await page.examine()
        await page.page.get_by_text("Demo payments — no real money").wait_for()
        await page.page.get_by_label("Card number").fill(DECLINED)
        await page.page.get_by_role("button", name="Subscribe and pay $9.00").press("Enter")
        await page.page.get_by_role("alert").get_by_text("Your card was declined.").wait_for()
        await page.examine()
        await page.page.get_by_text("Cards to try").click()
        await page.examine()
        await page.page.get_by_label("Card number").fill("4242 4242 4242 4242")
        await page.page.get_by_role("button", name="Subscribe and pay $9.00").click()
        await page.page.wait_for_url(f"{fake.url}/demo/?session={session.id}")
        page.assert_quiet()


async def test_the_way_back_leads_back(fake: StripeFake, shop: Shop) -> None:
    session = in_thread(lambda: shop.checkout(shop.customer().id, back=f"{fake.url}/demo/"))
    async with chromium() as browser, browser.page(fake.url) as page:
        await page.open(str(session.url))
        await page.page.get_by_role("link", name="Back").click()
        await page.page.wait_for_url(f"{fake.url}/demo/")
        page.assert_quiet()


async def test_the_portal_cancels_resumes_and_takes_another_card(fake: StripeFake, shop: Shop) -> None:
    subscription = in_thread(shop.subscribed)
    portal = in_thread(lambda: shop.portal(subscription.customer, return_url=f"{fake.url}/demo/"))
    async with chromium() as browser, browser.page(fake.url) as page:
        await page.open(portal)
        await page.examine()
        await page.page.get_by_role("button", name="Cancel the subscription").click()
        await page.page.get_by_text("Ends on").wait_for()
        await page.page.get_by_role("button", name="Keep the subscription").click()
        await page.page.get_by_text("Renews on").wait_for()
        await page.page.get_by_label("Card number").fill("5555 5555 5555 4444")
        await page.page.get_by_role("button", name="Save the card").click()
        await page.page.get_by_text("Mastercard ending in 4444").wait_for()
        await page.examine()
        await page.page.get_by_role("link", name="Back to CrossWire").click()
        await page.page.wait_for_url(f"{fake.url}/demo/")


async def test_a_failed_invoice_is_paid_on_its_page_after_the_controls_let_time_pass(
    fake: StripeFake, shop: Shop
) -> None:
    subscription = in_thread(shop.subscribed)
    async with chromium() as browser, browser.page(fake.url) as page:
        await page.open("/demo/")
        await page.examine()
        await page.page.get_by_role("button", name="Let the next payment fail").click()
        await page.page.get_by_role("status").get_by_text("The next payment will fail.").wait_for()
        await page.page.get_by_role("button", name="Advance 1 month").click()
        await page.page.get_by_role("status").get_by_text("Time moved on by 31 days.").wait_for()
        await page.page.get_by_text("invoice.payment_failed").first.wait_for()
        await page.examine()
        invoice = in_thread(lambda: invoice_of(shop.subscription(subscription.id)))
        assert invoice.status == "open"
        await page.open(str(invoice.hosted_invoice_url))
        await page.examine()
        await page.page.get_by_role("button", name="Pay $9.00").click()
        await page.page.get_by_role("heading", name="paid").wait_for()
        await page.examine()
    assert shop.subscription(subscription.id).status == "active"
