"""The page that documents REST: everything the document says, readable without a script, under the strict policy."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from django.conf import settings
from playwright.async_api import Page, async_playwright

from bus.operations import OPERATIONS
from bus.rest import openapi
from tests.support import loopback
from tests.support.cast import Caller

PATH = "/docs/api/"


@pytest.fixture
def text(lane_url: str) -> str:
    answer = loopback.get(lane_url + PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    return html.unescape(answer.text)


def test_every_call_is_on_the_page_with_its_arguments_and_refusals(text: str) -> None:
    for operation in OPERATIONS.values():
        if operation.http is None:
            continue
        start = text.index(f'<h2 id="{openapi.operation_id(operation)}">')
        part = text[start : text.index("</section>", start)]
        assert f"<b>{operation.http.method}</b> /api{operation.http.path}</code>" in part
        for name in (operation.http.params or operation.params).model_fields:
            shown = {argument: alias for alias, argument in operation.http.aliases.items()}.get(name, name)
            assert f"<code>{shown}</code>" in part, (operation.name, shown)
        for codes in openapi.codes(operation).values():
            assert all(f"<code>{code}</code>" in part for code in codes), operation.name


def test_every_link_on_the_page_leads_somewhere(text: str, lane_url: str) -> None:
    anchors = re.findall(r'\bid="([^"]+)"', text)
    assert len(anchors) == len(set(anchors))
    for link in set(re.findall(r'href="([^"]+)"', text)):
        path, _, anchor = link.removeprefix(settings.PUBLIC_URL).partition("#")
        if path:
            assert loopback.get(lane_url + path, follow_redirects=True).status_code == 200, link
        else:
            assert anchor in anchors, link


def test_an_example_works_as_it_is_printed(text: str, lane_url: str, alice: Caller) -> None:
    sent = re.findall(r"-d '(\{[^']+\})'", text)
    for path, body in zip(re.findall(r"curl '[^']+(/api/[^']+)' \\\n.*\\\n.*\\\n  -d", text), sent, strict=True):
        answer = loopback.post(
            lane_url + path,
            content=body,
            headers=alice.headers | {"Content-Type": "application/json"},
        )
        assert answer.status_code in {200, 404}, (path, answer.text)
    assert len(sent) == sum(each.http is not None and each.http.method == "POST" for each in OPERATIONS.values())


def test_the_page_is_linked_from_where_one_looks_for_it(lane_url: str) -> None:
    for path in ("/", "/api/"):
        page = loopback.get(lane_url + path, headers={"Accept": "text/html"})
        assert f'href="{PATH}"' in page.text, path


@asynccontextmanager
async def opened(url: str, width: int) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page in headless Chromium; with it what the browser complained of."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Install Chromium (Debian and Ubuntu: apt install chromium)."
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            page = await browser.new_page(viewport={"width": width, "height": 900})
            complaints: list[str] = []
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda problem: complaints.append(str(problem)))
            await page.goto(url)
            yield page, complaints
        finally:
            await browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1440])
async def test_the_page_fits_every_screen_and_breaks_no_policy(lane_url: str, width: int) -> None:
    async with opened(lane_url + PATH, width) as (page, complaints):
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        found = await Axe().run(page)
    assert complaints == []
    assert found.response["violations"] == []
