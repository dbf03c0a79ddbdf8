"""Connect, in a browser: a key, a snippet, and the page that turns green when the client calls."""

from __future__ import annotations

import pytest
from django.contrib.sessions.backends.db import SessionStore
from mcp.types import Implementation

from accounts import services
from accounts.here import FIRST_KEY
from accounts.models import ApiKey
from bus.guides import GUIDES
from tests.conftest import SdkClient
from tests.support.browsers import WatchedPage, chromium
from tests.support.cast import Credential, in_thread
from tests.support.people import PASSWORD, Person, make_person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CLAUDE_CODE = Implementation(name="claude-code", version="2.1.330")


def newcomer() -> Person:
    """Make somebody whose workspace never had a key."""
    return make_person(in_thread(lambda: services.create_workspace("new")), name="Nora New")


async def key_on(page: WatchedPage) -> Credential:
    return Credential((await page.page.inner_text("#key")).strip())


async def test_from_signing_in_to_a_real_client_that_is_seen(lane_url: str, sdk_client: SdkClient) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url) as page:
        await page.open(f"{ada.home}connect")  # which leads to signing in, and back
        await page.page.fill("input[name=login]", ada.user.email)
        await page.page.fill("input[name=password]", PASSWORD)
        await page.page.press("input[name=password]", "Enter")
        await page.page.click(".client.chosen >> text=Make a key for this")
        key = await key_on(page)
        assert key.key in await page.page.inner_text("#snippet-claude-code")
        await page.page.wait_for_selector("text=Waiting for your first call from Claude Code")
        async with sdk_client(key, client_info=CLAUDE_CODE) as client:
            await client.list_tools()
            await page.page.wait_for_selector("text=Claude Code is connected")
            seen = await page.page.inner_text("#seen")
            assert "claude-code/2.1.330" in seen
            assert "MCP 2026-07-28" in seen
            assert "not registered yet" in seen
            await client.call_tool("register", {"instance_id": "api-expert"})
            await page.page.wait_for_selector("#seen >> text=api-expert")
        page.assert_quiet()


async def test_an_older_client_is_seen_as_what_it_is(lane_url: str, sdk_client: SdkClient) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}connect?client=codex-cli")
        await page.page.click(".client.chosen >> text=Make a key for this")
        info = Implementation(name="codex-mcp-client", version="0.169.0")
        async with sdk_client(await key_on(page), "2025-11-25", client_info=info) as client:
            await client.call_tool("register", {"instance_id": "app-builder"})
            await page.page.wait_for_selector("text=Codex CLI is connected")
            await page.page.wait_for_selector("#seen >> text=app-builder")
            assert "MCP 2025-11-25" in await page.page.inner_text("#seen")
        page.assert_quiet()


async def test_another_client_than_the_chosen_one_is_told_of(lane_url: str, sdk_client: SdkClient) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}connect?client=cursor")
        await page.page.click(".client.chosen >> text=Make a key for this")
        async with sdk_client(await key_on(page), client_info=CLAUDE_CODE) as client:
            await client.list_tools()
            await page.page.wait_for_selector("text=Claude Code called too")
        assert await page.page.locator(".connected").count() == 0
        await page.page.click("[data-client=claude-code]")
        await page.page.wait_for_selector("text=Claude Code is connected")


async def test_every_card_is_fit_for_everybody(lane_url: str) -> None:
    nora = newcomer()
    _sign_up(nora)
    async with chromium() as browser, browser.page(lane_url, nora) as page:
        await page.open(f"{nora.home}connect")
        await page.page.evaluate(
            "document.querySelectorAll('.client').forEach(each => each.classList.add('chosen'));"
            "document.querySelectorAll('main details').forEach(each => each.open = true)"
        )
        assert await page.page.locator(".client:visible").count() == len(GUIDES)
        await page.examine()


async def test_what_follows_the_first_call_is_fit_for_everybody(lane_url: str, sdk_client: SdkClient) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}connect")
        await page.page.click(".client.chosen >> text=Two sessions at once")
        await page.page.fill(".client.chosen input[name=names]", "api-expert, app-builder")
        await page.page.press(".client.chosen input[name=names]", "Enter")
        line = await page.page.inner_text("#sessions-claude-code")
        key = Credential(line.partition("CROSSWIRE_KEY=")[2].partition(" ")[0])
        async with sdk_client(key, client_info=CLAUDE_CODE) as client:
            await client.call_tool("register", {})
        await page.page.wait_for_selector("#seen >> text=api-expert")
        await page.page.fill("#try-key", key.key)
        await page.page.click("#try")
        await page.page.wait_for_selector("text=speaks for api-expert alone")
        await page.examine()


def _sign_up(person: Person) -> None:
    """Have whatever session this person opens next be that of somebody who has just signed up."""
    make = person.client

    def signed_up() -> object:
        client = make()

        def flag() -> None:
            session = SessionStore(client.cookies["sessionid"].value)
            session[FIRST_KEY] = True
            session.save()

        in_thread(flag)
        return client

    object.__setattr__(person, "client", signed_up)


async def test_the_first_key_stays_while_one_looks_at_other_clients(lane_url: str) -> None:
    nora = newcomer()
    _sign_up(nora)
    async with chromium() as browser, browser.page(lane_url, nora) as page:
        await page.open(f"{nora.home}connect")
        key = await key_on(page)
        for name in ("cursor", "python", "perplexity"):
            await page.page.focus(f"[data-client={name}]")
            await page.page.keyboard.press("Enter")
            shown = page.page.locator(".client:visible")
            assert await shown.count() == 1
            assert key.key in await shown.inner_text()
            assert await page.page.get_attribute(f"[data-client={name}]", "aria-current") == "true"
            assert page.page.url.endswith(f"?client={name}")
        assert await page.page.locator("#seen").is_visible()
        await page.page.click("[data-client=claude-ai]")
        assert not await page.page.locator("#seen").is_visible(), "it cannot call yet"
        await page.page.reload()
        assert await page.page.locator("#key").count() == 0
        page.assert_quiet()


async def test_an_address_that_names_a_client_shows_it_also_on_a_page_that_is_open(lane_url: str) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}connect?client=curl")
        await page.page.evaluate("location.hash = '#client-codex-cli'")
        await page.page.wait_for_selector("#client-codex-cli.chosen:visible")
        assert await page.page.locator(".client:visible").count() == 1
        await page.page.wait_for_selector("text=Waiting for your first call from Codex CLI")
        page.assert_quiet()


async def test_without_javascript_all_of_it_works_but_what_is_live(lane_url: str, sdk_client: SdkClient) -> None:
    nora = newcomer()
    _sign_up(nora)
    async with chromium() as browser, browser.page(lane_url, nora, java_script_enabled=False) as page:
        await page.open(f"{nora.home}connect")
        key = await key_on(page)
        await page.page.click("[data-client=cursor]")
        shown = page.page.locator(".client:visible")
        assert await shown.count() == 1
        assert key.key in await shown.inner_text()
        assert await page.page.locator("button[data-copy]:visible").count() == 0
        assert key.key in await page.page.inner_text("noscript pre")
        async with sdk_client(key, client_info=CLAUDE_CODE) as client:
            await client.list_tools()
        await page.page.click("#seen noscript a")
        await page.page.wait_for_selector("text=Claude Code is connected")
        await page.page.click("[data-client=python]")
        await page.page.click(".client:visible >> text=Make a key for this")
        assert (await key_on(page)).key in await page.page.inner_text("#snippet-python")


async def test_a_key_is_tried_and_the_servers_words_are_shown(lane_url: str) -> None:
    ada = make_person()
    revoked, bound = (
        in_thread(lambda: services.create_key(ada.workspace, "old")),
        in_thread(lambda: services.create_key(ada.workspace, "ci", instance_id="robot", is_read_only=True)),
    )
    in_thread(lambda: services.revoke_key(revoked[0]))
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}connect")
        for text, words in (
            ("", "Paste a key first"),
            ("two words", "cannot be a key"),
            ("schlüssel", "cannot be a key"),
            (bound[1], "speaks for robot alone; read-only"),
            (revoked[1], "401 unauthorized: This key is unknown or was revoked"),
            ("cw_wrong", "401 unauthorized: This key is unknown"),
        ):
            await page.page.fill("#try-key", text)
            await page.page.press("#try-key", "Enter")
            await page.page.wait_for_selector(f"#try-answer >> text={words}")
        in_thread(lambda: services.suspend(ada.workspace, "unpaid"))
        await page.page.fill("#try-key", bound[1])
        await page.page.click("#try")
        await page.page.wait_for_selector("#try-answer >> text=403 suspended")
        assert await page.page.locator(".connected").count() == 0, "trying a key is no first call"
        assert all("40" in each for each in page.complaints), page.complaints


async def test_the_page_looks_for_half_an_hour_and_no_longer(lane_url: str) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.page.clock.install()
        await page.open(f"{ada.home}connect")
        await page.page.clock.fast_forward("31:00")
        await page.page.wait_for_selector("text=has stopped")
        page.assert_quiet()


async def test_a_page_that_is_no_longer_ones_own_stops_looking(lane_url: str) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}connect")
        await page.page.context.clear_cookies()
        await page.page.wait_for_selector("text=has stopped")


async def test_a_key_is_rotated_and_revoked_by_hand(lane_url: str, sdk_client: SdkClient) -> None:
    ada = make_person()
    in_thread(lambda: ApiKey.objects.filter(workspace=ada.workspace).delete())
    long_key = in_thread(lambda: services.create_key(ada.workspace, "N" * 80, instance_id="i" * 80)[0])
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}keys")
        await page.examine()
        in_thread(lambda: ApiKey.objects.filter(pk=long_key.pk).delete())
        await page.page.fill("input[name=name]", "laptop")
        await page.page.fill("input[name=instance_id]", "api-expert")
        await page.page.click("text=Make the key")
        old = await key_on(page)
        async with sdk_client(old) as client:
            await client.call_tool("register", {})
        await page.page.click(".key-list a")
        await page.page.check("input[value=now]")
        await page.page.click("button:text-is('Rotate')")
        new = await key_on(page)
        assert "has ended" in await page.page.inner_text("main")
        await page.examine()
        async with sdk_client(new) as client:
            assert not (await client.call_tool("whoami", {})).is_error
        await page.page.click("text=Revoke this key…")
        await page.page.click("text=Yes, revoke it")
        await page.page.wait_for_selector("text=It works no more")
        await page.page.click("text=Keys that work no more (2)")
        await page.examine()
        assert in_thread(lambda: services.live_keys(ada.workspace).count()) == 0
