"""Search and shared data, in a browser."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from bus.services import shared
from tests.support import hostile, lively
from tests.support.browsers import chromium
from tests.support.cast import Caller, in_thread
from tests.support.messages import principal_of, seed
from tests.support.people import owner_of

pytestmark = pytest.mark.slow


async def test_one_searches_with_the_keyboard_and_follows_what_was_found(lane_url: str, alice: Caller) -> None:
    lively.fill(alice)
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}search")
        await page.examine()
        await page.page.get_by_label("Words").fill("currency")
        await page.page.get_by_label("Type").select_option("response")
        await page.page.get_by_label("Words").press("Enter")
        await expect(page.page.locator(".found mark").first).to_have_text("currency")
        await expect(page.page.locator(".found > li").first).to_contain_text("response")
        await page.examine()
        await page.page.get_by_label("From day").fill("2026-02-01")
        await page.page.get_by_label("To day").fill("2026-01-01")
        await page.page.get_by_role("button", name="Search").click()
        await expect(page.page.get_by_text("The last day lies before the first.")).to_be_visible()
        await page.examine()
        await page.open(f"{ada.home}search?q=zebra")
        await page.examine()


async def test_one_opens_an_item_copies_it_and_deletes_it(lane_url: str, alice: Caller) -> None:
    lively.fill(alice, 20)
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}data/")
        await page.examine()
        await page.page.get_by_role("link", name="logs/deploy-4f2a91c.txt").click()
        await expect(page.page.get_by_role("region", name="The text")).to_contain_text("08:12:01 migrating")
        await page.examine()
        async with page.page.expect_download() as begun:
            await page.page.get_by_role("link", name="Download").click()
        copy = await begun.value
        assert copy.suggested_filename == "logs_deploy-4f2a91c.txt"
        await page.page.get_by_role("link", name="The rest").click()
        await expect(page.page.get_by_role("link", name="From the beginning")).to_be_visible()
        await page.page.get_by_role("link", name="Delete").click()
        await page.examine()
        await page.page.get_by_role("button", name="Delete").click()
        await expect(page.page.get_by_role("status")).to_contain_text("Deleted “logs/deploy-4f2a91c.txt”.")
        await expect(page.page.get_by_role("link", name="logs/deploy-4f2a91c.txt")).to_have_count(0)
        page.assert_quiet()


async def test_what_agents_write_runs_nowhere(lane_url: str, alice: Caller) -> None:
    def write() -> None:
        for text in hostile.TEXTS:
            name = text[:80].strip()
            seed(alice, [f"needle {text}"], sender=name)
            shared.share(principal_of(alice), key=text, content=text * 50, sender=name, description=text)
            lively.wait(alice, name, "general")

    in_thread(write)
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        page.page.on("dialog", lambda dialog: page.complaints.append(dialog.message))
        for path in ("", "instances", "search?q=needle", "data/"):
            await page.open(ada.home + path)
            await page.examine()
        for link in await page.page.locator(".item-key").evaluate_all("links => links.map(link => link.href)"):
            await page.open(link)
            page.assert_quiet()


async def test_without_javascript_one_searches_and_deletes(lane_url: str, alice: Caller) -> None:
    lively.fill(alice, 20)
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada, java_script_enabled=False) as page:
        await page.open(f"{ada.home}search")
        await page.page.get_by_label("Words").fill("currency")
        await page.page.get_by_role("button", name="Search").click()
        await expect(page.page.locator(".found mark").first).to_have_text("currency")
        await page.open(f"{ada.home}data/delete?key=plans/basket.md")
        await page.page.get_by_role("button", name="Delete").click()
        await expect(page.page.get_by_text("Deleted “plans/basket.md”.")).to_be_visible()
