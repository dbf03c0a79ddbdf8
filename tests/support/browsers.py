"""A real browser, watched: whatever a page complains of fails the test.

async with chromium() as browser, browser.page(lane_url, person) as page:
    await page.open(person.home)
    await page.examine()
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from tests.support.people import Person

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1440, "height": 900}
_WIDE_CARDS = """
[...document.querySelectorAll(".cards-table tbody tr")].filter((row) => getComputedStyle(row).display === "block"
  && row.scrollWidth > row.parentElement.clientWidth + 1).map((row) => row.innerText)"""
"""Rows laid out as cards that are wider than their place."""
type Scheme = Literal["light", "dark"]


def chromium_path() -> str:
    """Return where Chromium is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "Install Chromium (Debian and Ubuntu: apt install chromium)."
    return found


@dataclass
class WatchedPage:
    """A page, and what its console said: errors, refused content (CSP), failed requests."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note every complaint from now on."""
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda problem: self.complaints.append(str(problem)))
        self.page.on("requestfailed", self._on_failure)

    def _on_console(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.complaints.append(said.text)

    def _on_failure(self, request: Request) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # which is what leaving a page looks like
            self.complaints.append(f"{request.method} {request.url}: {request.failure}")

    async def open(self, path: str, status: int = 200) -> None:
        """Go to an address of the server; it has to answer with this status."""
        answer = await self.page.goto(urljoin(self.url, path))
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"

    def assert_quiet(self) -> None:
        """Raises: AssertionError when the page complained of anything."""
        assert self.complaints == [], self.complaints

    async def examine(self) -> None:
        """Look at the page as it stands: accessible, nothing wider than a phone, in light and dark; nothing complained.

        Raises: AssertionError, naming what is wrong.
        """
        for scheme in ("light", "dark"):
            for size in (NARROW, WIDE):
                await self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # nothing is half faded in
                await self.page.set_viewport_size(size)  # type: ignore[arg-type] # a TypedDict of these keys
                found = await Axe().run(self.page)
                assert found.violations_count == 0, f"{scheme} {size['width']}: {found.generate_report()}"
                width = await self.page.evaluate("document.documentElement.scrollWidth")
                assert width <= size["width"], f"the page is {width} px wide on a screen of {size['width']}"
                wide = await self.page.evaluate(_WIDE_CARDS)
                assert not wide, f"these rows are wider than a screen of {size['width']}: {wide}"
        self.assert_quiet()

    async def shoot(self, path: str, *, narrow: bool = False, scheme: Scheme = "light") -> None:
        """Write a screenshot of the whole page, for a person to look at."""
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.set_viewport_size(NARROW if narrow else WIDE)  # type: ignore[arg-type] # as above
        await self.page.screenshot(path=path, full_page=True)


class WatchedBrowser:
    """Chromium; `page` opens a page in a session of its own."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    @asynccontextmanager
    async def page(self, url: str, person: Person | None = None, **options: Any) -> AsyncIterator[WatchedPage]:
        """Open a page, signed in if a person is given; `options` are Playwright's for a context."""
        context = await self.browser.new_context(**options)
        context.set_default_timeout(20_000)
        if person is not None:
            name, value = person.cookie()
            host = urlsplit(url).hostname or ""
            await context.add_cookies([{"name": name, "value": value, "domain": host, "path": "/"}])
        page = WatchedPage(await context.new_page(), url)
        page.watch()
        try:
            yield page
        finally:
            await context.close()


@asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[WatchedBrowser]:
    """Start headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=[*ARGUMENTS, *arguments])
        try:
            yield WatchedBrowser(browser)
        finally:
            await browser.close()
