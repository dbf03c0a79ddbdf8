"""The operators' console, in a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from allauth.mfa.totp.internal.auth import generate_totp_secret

from accounts import plan_changes, services
from tests.bus.waiters import SOON, WAIT, begin
from tests.support import hostile, lively
from tests.support.browsers import WatchedPage, chromium
from tests.support.cast import Caller, in_thread
from tests.support.operators import make_operator
from tests.support.people import PASSWORD, make_person, owner_of
from tests.support.surfaces import Refusal, Surface, SurfaceName
from tests.support.totp import code_of

pytestmark = pytest.mark.slow

WORKSPACE_DEEDS = ("plan", "overrides", "suspend", "close")
PERSON_DEEDS = ("operator", "deactivate")


async def press(page: WatchedPage, button: str, said: str) -> None:
    await page.page.get_by_role("button", name=button).click()
    await page.page.get_by_text(said).wait_for()


async def test_an_operator_signs_in_suspends_resumes_and_gives_more_messages(
    lane_url: str, surface: Callable[[SurfaceName], Surface], alice: Caller
) -> None:
    secret = generate_totp_secret()
    olga, call = make_operator(secret=secret), surface("mcp-2026-07-28")
    in_thread(lambda: plan_changes.set_overrides(alice.workspace, {"messages": 0}))
    waited = in_thread(lambda: begin(call, alice, WAIT, instance_id="ann"))
    async with chromium() as browser, browser.page(lane_url.replace("127.0.0.1", "localhost")) as page:
        await page.open("/admin/")
        await page.page.get_by_label("Email").fill(olga.user.email)
        await page.page.get_by_label("Password").fill(PASSWORD)
        await page.page.get_by_role("button", name="Sign in", exact=True).click()
        await page.page.get_by_label("code").fill(code_of(secret))
        await page.page.keyboard.press("Enter")
        await page.page.get_by_role("heading", name="Overview").wait_for()

        await page.page.get_by_role("link", name="Workspaces", exact=True).click()
        await page.page.get_by_label("Search", exact=True).fill(alice.key[:11])
        await page.page.keyboard.press("Enter")
        await page.page.get_by_text("1 in all").wait_for()
        await page.page.get_by_role("link", name=alice.workspace.name).click()

        await page.page.get_by_role("link", name="Suspend…").click()
        await page.page.get_by_label("Password").fill(PASSWORD)
        await page.page.get_by_role("button", name="Go on").click()
        await page.page.get_by_label("Reason").fill("Unpaid since May")
        await press(page, "Suspend it now", "It is suspended.")
        ended = await asyncio.to_thread(waited.result, SOON)
        assert isinstance(ended, Refusal), ended
        assert ended.code == "suspended"
        assert "Unpaid since May" in ended.message
        await page.examine()

        await page.page.get_by_role("link", name="Resume…").click()
        await press(page, "Let it go on", "It goes on.")
        send = {"sender": "ann", "content": "x"}
        await asyncio.to_thread(lambda: call.refused(alice, "send_message", "quota_exceeded", **send))
        await page.page.get_by_role("link", name="Set figures of its own…").click()
        await page.page.get_by_label("Messages a month", exact=True).fill("10")
        await press(page, "Put these figures in force", "The figures are in force.")
        await asyncio.to_thread(lambda: call.ok(alice, "send_message", **send))
        page.assert_quiet()


async def test_every_page_is_fit_for_everybody(lane_url: str, alice: Caller) -> None:
    olga, ada = make_operator(), owner_of(alice)
    lively.fill(alice)

    def prepare() -> None:
        plan_changes.set_overrides(alice.workspace, {"messages": 5_000, "waits": None})
        plan_changes.set_plan(alice.workspace, "starter")
        for text in hostile.HOSTILE:
            services.create_workspace(text)
        services.suspend(make_person().workspace, "unpaid " * 20)

    in_thread(prepare)
    row, person = f"/admin/accounts/workspace/{alice.workspace.pk}/", f"/admin/accounts/user/{ada.user.pk}/"
    lists = ["/admin/", "/admin/accounts/workspace/", "/admin/accounts/user/", "/admin/accounts/auditevent/"]
    lists += [f"/admin/{each}/" for each in ("billing/subscription", "billing/stripeevent", "billing/reconciliation")]
    pages = [*lists, row, person, *(f"{row}{each}/" for each in WORKSPACE_DEEDS)]
    pages += [f"{person}{each}/" for each in PERSON_DEEDS]
    async with chromium() as browser, browser.page(lane_url, olga) as page:
        await page.open(f"/accounts/reauthenticate/?next={row}suspend/")
        await page.page.get_by_label("Password").fill(PASSWORD)
        await page.page.get_by_role("button", name="Go on").click()
        for path in pages:
            await page.open(path)
            assert page.page.url.endswith(path)
            await page.examine()
        await page.open("/admin/")
        await page.page.get_by_text("As a table").click()
        await page.examine()
