"""Pages of other origins in a real browser: a local one may call with a key, a foreign one cannot even post blindly."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright

from tests.mcp import wire
from tests.support.cast import Caller
from tests.support.echo import echo
from tests.support.servers import thread_server

pytestmark = pytest.mark.slow

FOREIGN_HOST = "evil.example"
FETCH = """async ([url, headers, body, mode]) => {
    try {
        const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body), mode});
        return {status: answer.status, type: answer.type, text: await answer.text()};
    } catch (problem) {
        return {error: String(problem)};
    }
}"""


@pytest.fixture(scope="module")
def page_url() -> Iterator[str]:
    """The address of a page that is not ours."""
    with thread_server(echo) as server:
        yield server.url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Page]:
    """Open a page in headless Chromium, to which the foreign host is this machine."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Install Chromium (Debian and Ubuntu: apt install chromium)."
    arguments = [
        *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
        f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            page = await browser.new_page()
            await page.goto(url)
            yield page
        finally:
            await browser.close()


def foreign(url: str) -> str:
    """The same page under a host name that is not allowed to call."""
    return f"http://{FOREIGN_HOST}:{urlsplit(url).port}/"


async def fetch(page: Page, url: str, sent: wire.Request, mode: str = "cors") -> dict[str, Any]:
    answer: dict[str, Any] = await page.evaluate(FETCH, [url, sent.headers, sent.body, mode])
    return answer


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_local_page_of_another_origin_calls_a_tool(
    lane_url: str, page_url: str, alice: Caller, version: str
) -> None:
    sent = wire.call(alice, "send_message", {"sender": "page", "content": "from a page"}, version)
    sent = sent.with_headers(Content_Type="application/json")
    async with opened(page_url) as page:
        answer = await fetch(page, f"{lane_url}/mcp", sent)
    assert answer.get("status") == 200, answer
    assert "Message #1 sent to #general" in answer["text"]


async def test_a_local_page_reads_why_it_was_refused(lane_url: str, page_url: str) -> None:
    async with opened(page_url) as page:
        answer = await fetch(page, f"{lane_url}/mcp", wire.call(None, "whoami"))
    assert answer.get("status") == 401, answer
    assert "unauthorized" in answer["text"]


async def test_a_foreign_page_is_stopped_by_the_preflight(lane_url: str, page_url: str, alice: Caller) -> None:
    async with opened(foreign(page_url)) as page:
        answer = await fetch(page, f"{lane_url}/mcp", wire.call(alice, "whoami"))
    assert "Failed to fetch" in answer["error"]


async def test_a_foreign_page_that_asks_no_preflight_stores_nothing(
    lane_url: str, page_url: str, alice: Caller
) -> None:
    blind = wire.call(alice, "send_message", {"sender": "page", "content": "blind"}, version=None)
    simple = wire.Request({"Content-Type": "text/plain"}, blind.body)
    async with opened(foreign(page_url)) as page:
        await fetch(page, f"{lane_url}/mcp?api_key={alice.key}", simple, mode="no-cors")
    found = wire.result(lane_url, wire.call(alice, "check_messages"))
    assert found["structuredContent"]["messages"] == []
