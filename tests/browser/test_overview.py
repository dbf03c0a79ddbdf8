"""The first page of a workspace, in a browser."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from bus.services import instances
from tests.support import lively
from tests.support.browsers import chromium
from tests.support.cast import Caller, in_thread
from tests.support.messages import principal_of
from tests.support.people import make_person, owner_of

pytestmark = pytest.mark.slow


async def test_an_empty_overview_is_fit_for_everybody(lane_url: str) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(ada.home)
        await page.examine()


async def test_a_lively_overview_is_fit_for_everybody(lane_url: str, alice: Caller) -> None:
    lively.fill(alice)
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(ada.home)
        await page.page.get_by_text("As a table").click()
        await page.examine()
        await page.open(f"{ada.home}instances")
        await page.examine()


async def test_presence_refreshes_by_itself_but_not_from_under_a_keyboard(lane_url: str, alice: Caller) -> None:
    def register(*names: str) -> None:
        for name in names:
            instances.register(principal_of(alice), instance_id=name)

    in_thread(lambda: register(*(f"i{index}" for index in range(12))))
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.page.clock.install()
        await page.open(ada.home)
        there = page.page.locator("#presence")
        await expect(there).to_contain_text("Nobody waits for anybody now.")
        in_thread(lambda: lively.wait(alice, "i3", "orders", minutes=4))
        await page.page.clock.run_for(10_500)
        await expect(there).to_contain_text("i3 waits in #orders for an answer, for 4 minutes.")

        await there.get_by_role("link", name="All instances").focus()
        in_thread(lambda: lively.wait(alice, "i5", "reviews", minutes=2))
        await page.page.clock.run_for(30_500)
        await expect(there).not_to_contain_text("#reviews")
        await page.page.get_by_role("button", name="Pause").press("Enter")
        await page.page.clock.run_for(30_500)
        await expect(page.page.locator("#presence-said")).to_have_text("Paused.")
        await expect(there).not_to_contain_text("#reviews")
        await page.page.get_by_role("button", name="Go on").press("Enter")
        await expect(there).to_contain_text("i5 waits in #reviews")
        page.assert_quiet()


async def test_without_javascript_the_overview_is_a_plain_page(lane_url: str, alice: Caller) -> None:
    lively.fill(alice, 20)
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada, java_script_enabled=False) as page:
        await page.open(ada.home)
        await expect(page.page.locator("#presence")).to_contain_text("both wait for each other")
        await expect(page.page.get_by_role("button", name="Pause")).to_be_hidden()
