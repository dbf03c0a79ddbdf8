"""The public pages in a browser: fit for everybody, quiet, usable by keyboard, without scripts, and on a phone."""

from __future__ import annotations

import pytest

from bus import snippets
from crosswire.site import pages
from tests.support.browsers import NARROW, chromium
from tests.support.people import make_person

pytestmark = pytest.mark.slow

PATHS = [f"/{each.path}" for each in pages.PAGES] + ["/status"]
THIRDS = [PATHS[at::3] for at in range(3)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("paths", THIRDS, ids=["one", "two", "three"])
async def test_every_page_is_fit_for_everybody(lane_url: str, paths: list[str]) -> None:
    async with chromium() as browser, browser.page(lane_url, reduced_motion="reduce") as page:
        for path in paths:
            await page.open(path)
            await page.examine()
        assert await page.page.context.cookies() == []


async def test_what_a_page_loads_is_light(lane_url: str) -> None:
    async with chromium() as browser, browser.page(lane_url) as page:
        session = await page.page.context.new_cdp_session(page.page)
        await session.send("Network.enable")
        loaded: list[float] = []
        session.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
        for path, most in (("/", 100_000), ("/docs/api/", 200_000), ("/docs/tools/", 200_000)):
            loaded.clear()
            await page.open(path)
            await page.page.wait_for_load_state("networkidle")
            assert 0 < sum(loaded) < most, f"{path}: {sum(loaded):,} bytes"


async def test_a_page_that_is_not_there_is_fit_for_everybody(lane_url: str) -> None:
    async with chromium() as browser, browser.page(lane_url) as page:
        await page.open("/docs/nothing/", 404)
        page.complaints.clear()  # the browser notes the 404 itself
        await page.examine()


async def test_the_conversation_arrives_by_itself_and_stays(lane_url: str) -> None:
    async with chromium() as browser, browser.page(lane_url) as page:
        await page.open("/")
        assert await page.page.evaluate("document.getAnimations().length") > 0
        await page.page.evaluate("Promise.all(document.getAnimations().map((each) => each.finished))")
        for said in await page.page.locator(".said").all():
            assert await said.is_visible()
            assert await said.evaluate("each => getComputedStyle(each).opacity") == "1"
    async with chromium() as browser, browser.page(lane_url, reduced_motion="reduce") as page:
        await page.open("/")
        assert await page.page.evaluate("document.getAnimations().length") == 0


async def test_code_is_copied_by_its_button(lane_url: str) -> None:
    async with chromium() as browser, browser.page(lane_url, permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.open("/docs/protocol/")
        await page.page.get_by_role("button", name="Copy").click()
        await page.page.get_by_role("button", name="Copied").wait_for()
        copied = await page.page.evaluate("navigator.clipboard.readText()")
        assert copied == snippets.instructions().strip()
        page.assert_quiet()


async def test_a_phone_has_the_documentations_menu_and_tables_that_fit(lane_url: str) -> None:
    async with chromium() as browser, browser.page(lane_url, viewport=NARROW) as page:
        await page.open("/docs/errors/")
        menu = page.page.get_by_role("navigation", name="Documentation")
        await menu.get_by_text("Documentation:").click()
        assert await page.page.get_by_role("row", name="quota_exceeded").is_visible()
        await menu.get_by_role("link", name="Roles").click()
        await page.page.wait_for_url("**/docs/roles/")


async def test_the_keyboard_reaches_the_content_and_the_next_page(lane_url: str) -> None:
    async with chromium() as browser, browser.page(lane_url) as page:
        await page.open("/docs/")
        await page.page.keyboard.press("Tab")
        await page.page.keyboard.press("Enter")
        assert page.page.url.endswith("#main")
        await page.page.get_by_role("link", name="Next Quickstart").focus()
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url("**/docs/quickstart/")


async def test_everything_is_there_without_scripts(lane_url: str) -> None:
    async with chromium() as browser, browser.page(lane_url, java_script_enabled=False) as page:
        await page.open("/docs/connect/")
        assert await page.page.get_by_role("button", name="Copy").count() == 0
        await page.page.get_by_role("link", name="How long a wait may last", exact=True).click()
        assert page.page.url.endswith("#how-long-a-wait-may-last")


async def test_who_signs_in_is_not_shown_the_page_from_before(lane_url: str) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url) as page:
        await page.open("/pricing")
        name, value = ada.cookie()
        await page.page.context.add_cookies([{"name": name, "value": value, "url": lane_url}])
        await page.page.get_by_role("link", name="Plans").first.click()
        await page.page.get_by_role("link", name="Open your workspace").first.click()
        await page.page.wait_for_url(f"**{ada.home}")
