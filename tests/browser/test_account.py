"""Signing up and in, and a person's own pages, in a browser."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from playwright.async_api import Request
from pytest_django.fixtures import Settings

from tests.support.browsers import WatchedPage, chromium
from tests.support.mails import code_for
from tests.support.people import PASSWORD, Person, make_person
from tests.support.totp import code_of

pytestmark = pytest.mark.slow

OWN_PAGES = (
    "/account/",
    "/account/workspaces/",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/2fa/webauthn/",
    "/accounts/sessions/",
    "/accounts/3rdparty/",
    "/accounts/logout/",
)
STRANGERS_PAGES = ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/inactive/")


@pytest.fixture
def site(lane_url: str) -> str:
    """The server's address by the name that passkeys belong to."""
    return lane_url.replace("127.0.0.1", "localhost")


def leads_to(there: str, request: Request) -> bool:
    return request.url.startswith(there)


def somebody() -> str:
    """Return an address nobody has."""
    return f"ada-{secrets.token_hex(4)}@example.com"


@asynccontextmanager
async def visitor(site: str) -> AsyncIterator[WatchedPage]:
    """Open a browser in which nobody is signed in."""
    async with chromium() as browser, browser.page(site) as page:
        yield page


async def sign_in(page: WatchedPage, person: Person) -> None:
    await page.open("/accounts/login/")
    await page.page.get_by_label("Email").fill(person.user.email)
    await page.page.get_by_label("Password").fill(PASSWORD)
    await page.page.get_by_role("button", name="Sign in", exact=True).click()
    await page.page.wait_for_load_state()


async def confirm_that_it_is_me(page: WatchedPage) -> None:
    await page.page.get_by_label("Password").fill(PASSWORD)
    await page.page.get_by_role("button", name="Go on").click()
    await page.page.wait_for_load_state()


async def test_one_signs_up_with_a_mailed_code_and_lands_in_a_workspace(site: str) -> None:
    address = somebody()
    async with visitor(site) as page:
        await page.open("/accounts/signup/")
        await page.page.get_by_label("Your name").fill("Ada Jones")
        await page.page.get_by_label("Email").fill(address)
        await page.page.get_by_label("Password").fill(PASSWORD)
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url("**/accounts/confirm-email/")
        assert await page.page.get_by_text("This installation sends no mail").is_visible()
        await page.examine()
        await page.page.get_by_label("Code").fill("BBBB-BBBB")
        await page.page.keyboard.press("Enter")
        await page.page.get_by_text("This code is not the one we sent.").wait_for()
        await page.examine()
        await page.page.get_by_label("Code").fill(code_for(address).lower())
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url("**/w/*/**")
        assert await page.page.get_by_text("Ada's workspace").first.is_visible()
        page.assert_quiet()


async def test_an_authenticator_app_is_set_up_and_asked_for(site: str) -> None:
    ada = make_person()
    async with chromium() as browser:
        async with browser.page(site) as page:
            await sign_in(page, ada)
            await page.open("/accounts/2fa/totp/activate/")
            await page.examine()
            await confirm_that_it_is_me(page)
            await page.examine()
            key = await page.page.locator("#totp-key").inner_text()
            await page.page.get_by_label("Authenticator code").fill(code_of(key))
            await page.page.get_by_role("button", name="Turn it on").click()
            await page.page.get_by_text("They are shown this once.").wait_for()
            await page.examine()
            codes = (await page.page.locator("#codes").inner_text()).split()
            await page.open("/accounts/2fa/")
            await page.examine()
            for path in (
                "/accounts/2fa/recovery-codes/",
                "/accounts/2fa/recovery-codes/generate/",
                "/accounts/2fa/totp/deactivate/",
            ):
                await page.open(path)
                await page.examine()
                assert codes[0] not in await page.page.content()
        async with browser.page(site) as page:
            await sign_in(page, ada)
            await page.page.wait_for_url("**/accounts/2fa/authenticate/")
            await page.examine()
            await page.page.get_by_label("Code").fill(codes[0])
            await page.page.get_by_role("button", name="Sign in", exact=True).click()
            await page.page.wait_for_url(f"**{ada.home}")
            page.assert_quiet()


async def test_a_passkey_signs_in_without_a_password(site: str) -> None:
    ada = make_person()
    async with visitor(site) as page:
        devices = await page.page.context.new_cdp_session(page.page)
        await devices.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        await devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        await sign_in(page, ada)
        await page.open("/accounts/2fa/webauthn/add/")
        await confirm_that_it_is_me(page)
        await page.examine()
        await page.page.get_by_label("Name").fill("virtual device")
        await page.page.get_by_role("button", name="Add it").click()
        await page.page.get_by_text("They are shown this once.").wait_for()
        await page.open("/accounts/2fa/webauthn/")
        await page.examine()
        await page.page.get_by_role("link", name="Rename virtual device").click()
        await page.examine()
        await page.open("/accounts/logout/")
        await page.page.get_by_role("button", name="Sign out").last.click()
        await page.open("/accounts/login/")
        await page.page.get_by_role("button", name="Sign in with a passkey").click()
        await page.page.wait_for_url(f"**{ada.home}")
        await page.open("/accounts/2fa/webauthn/")
        await page.page.get_by_role("link", name="Remove virtual device").click()
        await page.examine()
        page.assert_quiet()


async def test_the_button_of_another_site_leads_there_under_our_policy(site: str, settings: Settings) -> None:
    app = {"client_id": "the-id", "secret": "the-secret", "key": ""}
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [app]}, "google": {"APPS": [app]}}
    allowed = ["'self'", "https://accounts.google.com", "https://github.com"]
    settings.SECURE_CSP = {**settings.SECURE_CSP, "form-action": allowed}
    async with chromium("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost") as browser:
        for name, there in (("GitHub", "https://github.com/"), ("Google", "https://accounts.google.com/")):
            async with browser.page(site) as page:
                await page.open("/accounts/login/")
                await page.examine()
                left = partial(leads_to, there)
                async with page.page.expect_event("requestfailed", left):
                    await page.page.get_by_role("button", name=f"Continue with {name}").click()
                assert [each for each in page.complaints if "NAME_NOT_RESOLVED" not in each] == [], (
                    "the policy let it go"
                )


async def test_without_javascript_one_signs_up_all_the_same(site: str) -> None:
    address = somebody()
    async with chromium() as browser, browser.page(site, java_script_enabled=False) as page:
        await page.open("/accounts/signup/")
        await page.page.get_by_label("Email").fill(address)
        await page.page.get_by_label("Password").fill(PASSWORD)
        await page.page.get_by_role("button", name="Sign up", exact=True).click()
        await page.page.get_by_label("Code").fill(code_for(address))
        await page.page.get_by_role("button", name="Confirm").click()
        await page.page.wait_for_url("**/w/*/**")
        await page.open("/accounts/login/")
        assert not await page.page.get_by_role("button", name="passkey").is_visible()


async def test_a_new_password_is_chosen_with_a_mailed_code(site: str) -> None:
    ada = make_person()
    async with visitor(site) as page:
        await page.open("/accounts/password/reset/")
        await page.page.get_by_label("Email").fill(ada.user.email)
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url("**/password/reset/confirm/")
        await page.examine()
        await page.page.get_by_label("Code").fill(code_for(ada.user.email))
        await page.page.keyboard.press("Enter")
        await page.page.wait_for_url("**/password/reset/complete/")
        await page.examine()
        await page.page.get_by_label("New password", exact=True).fill("another-horse-battery-7")
        await page.page.get_by_label("New password again").fill("another-horse-battery-7")
        await page.page.keyboard.press("Enter")
        await page.page.get_by_text("Your password is set").wait_for()
        await page.examine()


async def test_with_the_keyboard_alone_one_gets_everywhere(site: str) -> None:
    async with visitor(site) as page:
        await page.open("/accounts/login/")
        await page.page.locator("[name=login]:focus").wait_for()
        reached = []
        for _ in range(16):
            reached.append(
                await page.page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name")
            )
            await page.page.keyboard.press("Tab")
        form = ["login", "Forgot it?", "password", "Sign in", "Sign in with a passkey"]
        assert reached[: len(form)] == form, "the cursor is in the first field"
        assert "Skip to the content" in reached


@pytest.mark.parametrize("path", OWN_PAGES)
async def test_a_persons_own_pages_are_fit_for_everybody(site: str, path: str) -> None:
    async with chromium() as browser, browser.page(site, make_person()) as page:
        await page.open(path)
        await page.examine()


@pytest.mark.parametrize("path", STRANGERS_PAGES)
async def test_the_pages_before_signing_in_are_fit_for_everybody(site: str, path: str) -> None:
    async with visitor(site) as page:
        await page.open(path)
        await page.examine()
