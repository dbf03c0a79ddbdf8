"""Members, invites and the audit log, in a browser: from the invite to what a role may not."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from django.core import mail
from playwright.async_api import expect

from accounts import invites, services
from accounts.models import Invite, Member, User
from crosswire.lib import clock
from tests.support.browsers import WatchedPage, chromium
from tests.support.cast import in_thread
from tests.support.people import Person, make_person

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror="alert(1)"> "&lt;'


def link() -> str:
    """Return the path of the link in the last mail."""
    (address,) = re.findall(r"^(http\S+/invites/\S+)$", str(mail.outbox[-1].body), re.MULTILINE)
    return str(urlsplit(address).path)


async def open_refused(page: WatchedPage, path: str, status: int) -> None:
    """Open a page that answers with an error's status, which is all the console may say."""
    await page.open(path, status)
    assert all(f"status of {status}" in said for said in page.complaints), page.complaints
    page.complaints.clear()


async def main_text(page: WatchedPage) -> str:
    return await page.page.inner_text("main")


async def test_an_invite_is_mailed_accepted_and_its_role_holds(lane_url: str) -> None:
    ada, guest = make_person(role="owner"), make_person(name="Guest Gray")
    mail.outbox.clear()
    async with (
        chromium() as browser,
        browser.page(lane_url, ada) as owners,
        browser.page(lane_url, guest) as theirs,
        browser.page(lane_url) as nobodys,
    ):
        await owners.open(f"{ada.home}members")
        await owners.page.get_by_label("E-mail address").fill(guest.user.email)
        await owners.page.get_by_label("Role", exact=True).select_option("viewer")
        await owners.page.get_by_role("button", name="Send the invite").click()
        await owners.page.get_by_text("An invite is on its way").wait_for()
        await owners.examine()

        path = link()
        await nobodys.open(path)
        assert ada.workspace.name not in await main_text(nobodys)
        await nobodys.examine()
        await theirs.open("/invites")
        await theirs.examine()
        await theirs.open(path)
        await theirs.examine()
        await theirs.page.get_by_role("button", name="Accept").click()
        await theirs.page.get_by_text("Welcome to").wait_for()

        await theirs.open(f"{ada.home}members")
        assert "Guest Gray" in await main_text(theirs)
        assert await theirs.page.locator("main button").count() == 0
        assert await theirs.page.get_by_role("link", name="Audit log").count() == 0
        await theirs.examine()
        await open_refused(theirs, f"{ada.home}audit", 403)
        await open_refused(nobodys, path, 410)
        await nobodys.examine()

        await owners.page.reload()
        await owners.page.get_by_role("link", name="Manage Guest Gray").click()
        await owners.page.get_by_label("New role").select_option("admin")
        await owners.page.get_by_role("button", name="Save the role").click()
        await owners.page.get_by_text("Guest Gray is now admin").wait_for()
        await theirs.open(f"{ada.home}audit")
        assert "changed the role of" in await main_text(theirs)


async def test_every_page_of_people_is_fit_for_everybody(lane_url: str) -> None:
    ada = make_person(role="owner", name="Ada Jones")
    cy = make_person(ada.workspace, "member", "Cy Doe")
    in_thread(lambda: furnish(ada, cy))
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        one = f"members/{cy.member.pk}"
        for path in ("members", one, "members/hand-over", "leave", "audit", "audit?day=2001-01-01"):
            await page.open(ada.home + path)
            await page.examine()
        await page.open("/w/new")
        await page.examine()
        await open_refused(page, "/invites/nothing", 404)
        await page.examine()
        path = in_thread(lambda: invited("somebody-else@example.com", ada))
        await open_refused(page, path, 403)
        await page.examine()


def furnish(ada: Person, cy: Person) -> None:
    """Have there be people, invites and events, with hostile and long names."""
    User.objects.filter(pk=cy.user.pk).update(name=HOSTILE + "x" * 100)
    ada.workspace.name = HOSTILE + " A workspace with a name that goes on " * 2
    ada.workspace.save()
    long = make_person(ada.workspace, "admin", "Wolfeschlegelsteinhausenbergerdorff" * 4)
    User.objects.filter(pk=long.user.pk).update(email=f"{'l' * 60}@{'d' * 60}.{'e' * 60}.example.com")
    invites.send(ada.member, email=f"{'l' * 60}@{'d' * 60}.{'f' * 60}.example.com", role="member")
    invites.send(ada.member, email="bo@example.com", role="admin")
    services.create_key(ada.workspace, HOSTILE, created_by=cy.user, actor=cy.user.email)
    services.create_key(ada.workspace, "ci", instance_id="x" * 80, created_by=cy.user, actor=cy.user.email)


def invited(email: str, ada: Person) -> str:
    mail.outbox.clear()
    invites.send(Member.objects.get(pk=ada.member.pk), email=email, role="viewer")
    return link()


async def test_everything_works_with_the_keyboard_and_without_javascript(lane_url: str) -> None:
    ada, guest = make_person(role="owner"), make_person(name="Guest Gray")
    invite = in_thread(lambda: invites.send(ada.member, email=guest.user.email, role="member").invite)
    async with chromium() as browser, browser.page(lane_url, guest, java_script_enabled=False) as page:
        await page.open("/invites")
        accept = page.page.get_by_role("button", name="Accept")
        for _ in range(20):
            await page.page.keyboard.press("Tab")
            if await page.page.locator(":focus").count() and await accept.and_(page.page.locator(":focus")).count():
                break
        await page.page.keyboard.press("Enter")
        await page.page.get_by_text("Welcome to").wait_for()
        assert urlsplit(page.page.url).path == ada.home
    used = in_thread(lambda: Invite.objects.get(pk=invite.pk).accepted_at)
    assert used is not None
    assert used <= clock.now()


async def test_the_tab_of_the_current_page_is_in_sight_on_a_narrow_screen(lane_url: str) -> None:
    ada = make_person(role="owner")
    async with chromium() as browser, browser.page(lane_url, ada, viewport={"width": 360, "height": 740}) as page:
        for name in ("keys", "members", "audit", "settings"):
            await page.open(f"{ada.home}{name}")
            await expect(page.page.locator(".side [aria-current=page]")).to_be_in_viewport(ratio=0.9)
            assert await page.page.evaluate("scrollY") == 0
