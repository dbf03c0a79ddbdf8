"""A channel in a browser: live, whatever happens to the connection; by keyboard alone; with and without scripts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import connections
from playwright.async_api import Page, Route, WebSocketRoute, expect

from accounts import principals
from accounts.models import Member
from bus.services import claims, messages, moderation, people
from tests.conftest import SdkClient
from tests.support.browsers import NARROW, chromium
from tests.support.cast import Caller, in_thread
from tests.support.messages import principal_of, seed
from tests.support.people import Person, make_person, owner_of

pytestmark = pytest.mark.slow

CUTS, MESSAGES = 20, 500


def me(person: Person) -> principals.Principal:
    return principals.of_member(Member.objects.select_related("workspace", "user").get(pk=person.member.pk))


def send(caller: Caller, text: str, **fields: Any) -> int:
    """Send a message as an agent would."""
    wanted = {"channel": "general", "sender": "ann", **fields}
    return in_thread(lambda: messages.send(principal_of(caller), content=text, **wanted)["id"])


def seed_and_close(caller: Caller, texts: list[str]) -> list[int]:
    """Store messages on a thread of its own."""
    try:
        return seed(caller, texts)
    finally:
        connections.close_all()


async def shown(page: Page) -> list[int]:
    """Return the numbers of the messages on the page, in order."""
    found: list[int] = await page.evaluate("[...document.querySelectorAll('.line')].map((each) => +each.dataset.id)")
    return found


def answering(body: str, kind: str) -> Callable[[Route], Awaitable[None]]:
    """Return what answers a request with this instead of the server."""

    async def answer(route: Route) -> None:
        await route.fulfill(body=body, content_type=kind)

    return answer


async def is_live(page: Page) -> None:
    await expect(page.locator("#live-text")).to_have_text("Live")


# --- the connection ---------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
async def test_a_socket_cut_twenty_times_shows_five_hundred_messages_once_in_order(
    lane_url: str, alice: Caller
) -> None:
    ada = owner_of(alice)
    open_sockets: list[WebSocketRoute] = []
    chosen = random.Random(5)  # noqa: S311 - any will do

    def pass_on(route: WebSocketRoute) -> None:
        open_sockets.append(route)
        route.connect_to_server()

    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.page.route_web_socket(lambda url: True, pass_on)
        await page.open(f"{ada.home}channels/general/")
        await is_live(page.page)
        stored: list[int] = []
        for _ in range(CUTS):
            some = [f"text {len(stored) + number}" for number in range(MESSAGES // CUTS)]
            sending = asyncio.create_task(asyncio.to_thread(seed_and_close, alice, some))
            await asyncio.sleep(chosen.uniform(0.0, 0.15))
            for each in open_sockets:
                await each.close(code=4012)
            open_sockets.clear()
            stored += await sending
        await expect(page.page.locator(".line")).to_have_count(MESSAGES, timeout=120_000)
        assert len(stored) == MESSAGES
        assert await shown(page.page) == stored
        assert await page.page.locator("li.day").count() == 1


async def test_a_browser_that_was_offline_catches_up(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/")
        await is_live(page.page)
        await page.page.get_by_label("Message to #general").fill("half a thought")
        await page.page.context.set_offline(True)
        stored = in_thread(lambda: seed(alice, ["meanwhile"] * 3))
        await page.page.evaluate("dispatchEvent(new Event('offline'))")
        await page.page.context.set_offline(False)
        await expect(page.page.locator(".line")).to_have_count(3)
        assert await shown(page.page) == stored
        await expect(page.page.get_by_label("Message to #general")).to_have_value("half a thought")


async def test_who_is_removed_is_told_and_sees_nothing_more(lane_url: str, alice: Caller) -> None:
    bo = make_person(alice.workspace, "member", "Bo")

    def remove() -> None:
        Member.objects.filter(pk=bo.member.pk).delete()
        principals.drop_after_commit(alice.workspace.pk)

    async with chromium() as browser, browser.page(lane_url, bo) as page:
        await page.open(f"{bo.home}channels/general/")
        await is_live(page.page)
        in_thread(remove)
        await expect(page.page.locator("#live-text")).to_contain_text("no longer in this workspace")
        send(alice, "secret")
        assert await shown(page.page) == []


# --- scrolling --------------------------------------------------------------------------------------------------


async def test_older_and_newer_messages_load_as_one_scrolls(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    stored = in_thread(lambda: seed(alice, [f"text {number}" for number in range(170)]))
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/?around={stored[80]}#m{stored[80]}")
        await expect(page.page.locator(f"#m{stored[80]}")).to_be_in_viewport()
        for _ in range(12):
            await page.page.evaluate("scrollTo(0, 0)")
            await page.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
            await asyncio.sleep(0.2)
        await expect(page.page.locator(".line")).to_have_count(170)
        assert await shown(page.page) == stored
        await is_live(page.page)  # at the end the page goes on by itself
        number = send(alice, "now")
        await expect(page.page.locator(f"#m{number}")).to_be_visible()
        assert await shown(page.page) == [*stored, number]


async def test_a_reader_of_older_messages_is_not_moved_but_told(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    in_thread(lambda: seed(alice, [f"text {number}" for number in range(45)]))
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/")
        await is_live(page.page)
        await page.page.evaluate("scrollTo(0, 300)")
        send(alice, "new")
        await expect(page.page.locator("#jump")).to_have_text("1 new message")
        assert await page.page.evaluate("scrollY") == 300
        await page.page.locator("#jump").click()
        await expect(page.page.locator(".line").last).to_be_in_viewport()
        await expect(page.page.locator("#jump")).to_be_hidden()


# --- taking part ------------------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
async def test_two_agents_talk_and_a_person_answers_with_the_keyboard_alone(
    lane_url: str, alice: Caller, sdk_client: SdkClient
) -> None:
    ada = owner_of(alice)
    async with (
        chromium() as browser,
        browser.page(lane_url, ada) as page,
        sdk_client(alice) as ann,
        sdk_client(alice) as bo,
    ):
        await page.open(f"{ada.home}channels/general/")
        await is_live(page.page)
        asked = await ann.call_tool(
            "send_message", {"sender": "ann", "content": "May I **drop** the table?", "message_type": "request"}
        )
        await expect(page.page.locator(".line.is-agent strong")).to_have_text("drop")
        await bo.call_tool("send_message", {"sender": "bo", "content": "I would not.", "in_reply_to": 1})
        await expect(page.page.locator('[data-replies="1"]')).to_have_text("1 reply")
        waiting = asyncio.create_task(
            ann.call_tool(
                "wait_for_reply", {"instance_id": "ann", "after_id": 2, "timeout_seconds": 60, "persistent": False}
            )
        )
        await expect(page.page.locator(".room-waiting")).to_contain_text("ann waits here")
        await page.page.locator('#m1 a[data-reply="1"]').focus()
        await page.page.keyboard.press("Enter")
        await expect(page.page.locator("#replying-to")).to_have_text("Reply to #1 by ann")
        await page.page.keyboard.type("No. Rename it first.")
        await page.page.keyboard.press("Control+Enter")
        await expect(page.page.locator(".line.is-person")).to_contain_text("Rename it first")
        answer = await asyncio.wait_for(waiting, 60)
        text = answer.content[0].text  # type: ignore[union-attr] # the first part is text
        assert '#3 in #general from "human:Ada Jones" (a person of this workspace) [response]' in text
        assert "No. Rename it first." in text
        await expect(page.page.locator('[data-replies="1"]')).to_have_text("2 replies")
        await expect(page.page.get_by_label("Message to #general")).to_be_focused()
        await expect(page.page.get_by_label("Message to #general")).to_have_value("")
        assert not asked.is_error
        page.assert_quiet()


async def test_what_is_refused_is_said_and_the_text_is_kept(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/")
        await page.page.get_by_label("Message to #general").fill("kept")
        await page.page.route("**/channels/general/", lambda route: route.abort())
        await page.page.locator("#send").click()
        await expect(page.page.locator("#write-error")).to_contain_text("no connection")
        await page.page.unroute("**/channels/general/")
        await expect(page.page.get_by_label("Message to #general")).to_have_value("kept")
        await page.page.locator("#send").click()
        await expect(page.page.locator(".line.is-person")).to_have_count(1)
        await page.page.reload()
        await expect(page.page.get_by_label("Message to #general")).to_have_value("")


async def test_who_was_signed_out_keeps_the_text_and_sends_it_after_signing_in_again(
    lane_url: str, alice: Caller
) -> None:
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/")
        await is_live(page.page)
        box = page.page.get_by_label("Message to #general")
        await box.fill("a long thought")
        context = page.page.context
        cookies = await context.cookies()
        await context.clear_cookies(name=ada.cookie()[0])
        await page.page.locator("#send").click()
        await expect(page.page.locator("#write-error")).to_have_text(
            "Not sent: you are signed out. Sign in again in another tab, then send once more."
        )
        await expect(box).to_have_value("a long thought")
        assert "#m" not in page.page.url
        again = [{**each, "value": "n" * 32} if "csrf" in each["name"] else each for each in cookies]
        assert again != cookies
        await context.add_cookies(again)  # type: ignore[arg-type] # as they came, with the token that a sign-in makes
        await page.page.locator("#send").click()
        await expect(page.page.locator(".line.is-person")).to_contain_text("a long thought")
        await expect(box).to_have_value("")


async def test_an_answer_that_is_none_keeps_the_text(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/")
        box = page.page.get_by_label("Message to #general")
        await box.fill("kept")
        for body, kind in (("{}", "application/json"), ("[", "application/json"), ("<p>", "text/html")):
            await page.page.route("**/channels/general/", answering(body, kind))
            await page.page.locator("#send").click()
            await expect(page.page.locator("#write-error")).to_contain_text("something went wrong")
            await expect(box).to_have_value("kept")
            await box.press("End")
            await page.page.unroute("**/channels/general/")


async def test_nothing_and_too_much_are_refused_before_they_are_sent(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/")
        await page.page.get_by_role("button", name="Send as done").click()
        await expect(page.page.locator("#write-error")).to_have_text("Write something first.")
        box = page.page.get_by_label("Message to #general")
        await box.fill("x" * 64_001)
        await expect(page.page.locator("#write-count")).to_have_text(
            "Too long to send: 64,001 characters of at most 64,000."
        )
        await page.page.locator("#send").click()
        assert len(await box.input_value()) == 64_001
        await box.fill("\U0001f600" * 64_000)
        await expect(page.page.locator("#write-count")).to_have_text("")
        page.assert_quiet()


async def test_a_keyboard_reaches_writing_past_a_long_conversation(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    in_thread(lambda: seed(alice, [f"text {number}" for number in range(40)]))
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/general/")
        await is_live(page.page)
        await page.page.get_by_role("link", name="Skip to writing").focus()
        await expect(page.page.get_by_role("link", name="Skip to writing")).to_be_in_viewport()
        await page.page.keyboard.press("Enter")
        await page.page.keyboard.type("here")
        await expect(page.page.get_by_label("Message to #general")).to_have_value("here")


async def test_a_channel_is_paused_from_its_menu_and_everybody_sees_it(lane_url: str, alice: Caller) -> None:
    ada, bo = owner_of(alice), make_person(alice.workspace, "member", "Bo")
    async with chromium() as browser, browser.page(lane_url, ada) as page, browser.page(lane_url, bo) as other:
        for each in (page, other):
            await each.open(f"{ada.home}channels/general/")
            await is_live(each.page)
        await page.page.get_by_text("Channel", exact=True).click()
        await page.page.get_by_role("button", name="Pause: agents cannot write").click()
        await expect(page.page.locator(".notice.success")).to_contain_text("#general is paused")
        await expect(other.page.locator(".room-badges")).to_contain_text("Paused")
        for each in (page, other):
            await expect(each.page.locator("#paused-head")).to_be_in_viewport()
            await expect(each.page.locator("#paused-note")).to_have_text("Paused: agents cannot write; you can.")
        await expect(other.page.locator(".line.is-system")).to_contain_text("Ada Jones paused #general")
        await other.page.get_by_text("Channel", exact=True).click()
        await expect(other.page.get_by_role("button", name="Resume")).to_be_visible()
        page.assert_quiet()


async def test_without_scripts_one_reads_older_ones_and_writes(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    stored = in_thread(lambda: seed(alice, [f"text {number}" for number in range(60)]))
    async with chromium() as browser, browser.page(lane_url, ada, java_script_enabled=False) as page:
        await page.open(f"{ada.home}channels/general/")
        await page.page.get_by_role("link", name="Older messages").click()
        await expect(page.page.locator(f"#m{stored[0]}")).to_be_visible()
        await page.page.locator(f'#m{stored[0]} a[data-reply="{stored[0]}"]').click()
        await expect(page.page.locator("#replying-to")).to_contain_text("Reply to #1")
        await page.page.get_by_label("Message to #general").fill("a plain answer")
        await page.page.locator("#send").click()
        await expect(page.page.locator(".line.is-person")).to_contain_text("a plain answer")
        await expect(page.page.locator("#live")).to_be_hidden()


# --- fit for everybody ------------------------------------------------------------------------------------------


def furnish(alice: Caller, ada: Person) -> int:
    """Store a conversation with everything in it; return the number of a message with replies."""
    call = principal_of(alice)
    code = "```python\ndef f(x):\n    return 'y'  # no\n```\n\n| a | b |\n|---|---|\n| 1 | " + "wide " * 40 + "|"
    asked = messages.send(call, channel="general", sender="ann", content="Who?", message_type="request")["id"]
    messages.send(call, channel="general", sender="bo", content=code, message_type="response", in_reply_to=asked)
    messages.send(principal_of(alice.with_key("cy")), channel="general", sender="cy", content="x" * 300)
    messages.send(call, channel="general", sender="w" * 80, content="line\n" * 60, message_type="status")
    messages.send(call, channel="general", sender="ann", content="y " * 9_000, message_type="handoff")
    people.post(me(ada), channel="general", content="> q\n\nYes, see https://example.com/" + "z" * 200)
    claims.claim(call, message_id=asked, instance_id="cy")
    moderation.describe(me(ada), channel="general", description="What it is for: " + "d" * 200, actor="ada")
    moderation.pause(me(ada), channel="general", actor="ada")
    messages.send(call, channel="long-" + "n" * 75, sender="ann", content="x")
    messages.send(call, channel="old", sender="ann", content="x")
    moderation.archive(me(ada), channel="old", actor="ada")
    return int(asked)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", ["", "general/", "old/", "general/messages/1/"])
async def test_every_page_is_fit_for_everybody(lane_url: str, alice: Caller, path: str) -> None:
    ada = owner_of(alice)
    in_thread(lambda: furnish(alice, ada))
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}channels/{path}")
        for each in await page.page.locator("main details").all():
            await each.evaluate("(details) => (details.open = true)")
        await page.examine()


async def test_on_a_phone_the_newest_message_is_above_the_form(lane_url: str, alice: Caller) -> None:
    ada = owner_of(alice)
    in_thread(lambda: furnish(alice, ada))
    async with chromium() as browser, browser.page(lane_url, ada, viewport=NARROW) as page:
        await page.open(f"{ada.home}channels/general/")
        await expect(page.page.locator(".line").last).to_be_in_viewport()
        box = await page.page.locator("form.write").bounding_box()
        assert box is not None
        assert box["height"] < NARROW["height"] / 3
