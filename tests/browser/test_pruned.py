"""What pages tell of what age has taken, in a browser: keys may be very long."""

from __future__ import annotations

import pytest

from accounts import pruned
from tests.support import lively
from tests.support.browsers import chromium
from tests.support.cast import Caller, in_thread
from tests.support.people import owner_of

pytestmark = pytest.mark.slow


async def test_it_is_fit_for_everybody(lane_url: str, alice: Caller) -> None:
    def note() -> None:
        lively.fill(alice, 20)
        pruned.note(alice.workspace.pk, "messages", 1_234)
        keys = ["plans/orders.md", "x" * 200, "日本語 " * 30, "notes"]
        pruned.note(alice.workspace.pk, pruned.SHARED_DATA, 6, keys)

    in_thread(note)
    ada = owner_of(alice)
    async with chromium() as browser, browser.page(lane_url, ada) as page:
        await page.open(ada.home)
        await page.examine()
        for path in ("settings", "data/"):
            await page.open(f"{ada.home}{path}")
            await page.page.get_by_text("Removed because of its age").click()
            await page.examine()
