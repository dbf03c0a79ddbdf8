"""Settings, an export, and the two ways to be gone, in a browser."""

from __future__ import annotations

import zipfile

import pytest

from accounts import exports
from accounts.models import Export, User, Workspace
from tests.conftest import Clock
from tests.support.browsers import chromium
from tests.support.cast import in_thread
from tests.support.jobs import Jobs
from tests.support.people import PASSWORD, make_person

pytestmark = pytest.mark.slow


async def test_settings_are_changed_and_an_export_is_fetched(lane_url: str, jobs: Jobs) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}settings")
        await page.examine()
        await page.page.get_by_label("Name").fill("Ada & friends")
        await page.page.get_by_label("Keys:").uncheck()
        await page.page.get_by_role("button", name="Save").click()
        await page.page.get_by_text("The settings are saved").wait_for()
        assert not await page.page.get_by_label("Keys:").is_checked()
        await page.page.get_by_role("button", name="Export everything").click()
        await page.page.get_by_text("being made", exact=True).wait_for()
        await page.examine()
        in_thread(jobs.do)
        in_thread(lambda: Export.objects.create(workspace=ada.workspace, state="failed", problem="It broke off."))
        await page.open(f"{ada.home}settings")
        await page.examine()
        async with page.page.expect_download() as started:
            await page.page.get_by_role("link", name="Download the export").click()
        fetched = await (await started.value).path()
        with zipfile.ZipFile(fetched) as archive:
            assert "messages.jsonl" in archive.namelist()
        assert exports.KEPT.days == 7


async def test_a_workspace_is_deleted_by_its_name(lane_url: str, jobs: Jobs) -> None:
    ada = make_person()
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(f"{ada.home}settings")
        await page.page.get_by_role("link", name="Delete the workspace").click()
        await page.page.get_by_label("Type the workspace's name").fill("something else")
        await page.page.get_by_role("button", name="Delete it for good").click()
        await page.page.get_by_text("That is not the name").wait_for()
        page.complaints.clear()  # the console tells of the 400
        await page.examine()
        await page.page.get_by_label("Type the workspace's name").fill(ada.workspace.name)
        await page.page.get_by_role("button", name="Delete it for good").click()
        await page.page.get_by_text("is being erased").wait_for()
        page.complaints.clear()
        await page.open(ada.home, status=404)
    in_thread(jobs.do)
    assert not in_thread(Workspace.objects.filter(pk=ada.workspace.pk).exists)


async def test_an_account_is_deleted_with_password_and_address(lane_url: str, jobs: Jobs, clock: Clock) -> None:
    eve = make_person(name="Eve Stone")
    other = make_person(eve.workspace, "viewer", "Vic")
    async with chromium() as browser, browser.page(lane_url, eve) as page:
        await page.open("/account/delete")
        await page.page.locator("input[type=password]").fill(PASSWORD)
        await page.page.locator("input[type=password]").press("Enter")
        await page.page.get_by_role("heading", name="First: workspaces").wait_for()
        await page.examine()
        in_thread(other.member.delete)
        await page.page.reload()
        await page.page.get_by_role("heading", name="Erased with your account").wait_for()
        await page.examine()
        await page.page.get_by_label("Type your e-mail address").fill(eve.user.email)
        await page.page.get_by_role("button", name="Delete my account for good").click()
        await page.page.get_by_text("Your account is deleted").wait_for()
        await page.examine()
    in_thread(jobs.do)
    assert not in_thread(User.objects.filter(pk=eve.user.pk).exists)
    assert not in_thread(Workspace.objects.filter(pk=eve.workspace.pk).exists)
