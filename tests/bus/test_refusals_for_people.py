"""What people read of a refusal: a time in their zone, a link with words, and before the form what is full."""

from __future__ import annotations

from accounts import plan_changes
from tests.support import pages
from tests.support.cast import Caller
from tests.support.messages import use_up
from tests.support.people import owner_of


def test_a_used_up_quota_names_the_time_in_the_readers_zone_and_a_link(alice: Caller) -> None:
    ada = owner_of(alice)
    ada.user.time_zone = "Asia/Tokyo"
    ada.user.save()
    plan_changes.set_plan(alice.workspace, "free")
    use_up(alice, 100)
    sent = {"content": "hello", "message_type": "message", "key": "k"}
    page = ada.client().post(f"{ada.home}channels/general/", sent).content.decode()
    error = page[page.index('id="write-error"') :].partition("</p>")[0]
    assert "T00:00:00" not in pages.text_of(error)
    assert ", 09:00" in pages.text_of(error)
    assert pages.text_of(error).endswith("Upgrade at the billing page.")
    told = ada.client().post(f"{ada.home}channels/general/", sent, headers={"Accept": "application/json"}).json()
    assert ", 09:00. Upgrade at http" in told["error"]


def test_that_all_channels_are_in_use_stands_above_the_form(alice: Caller) -> None:
    ada = owner_of(alice)
    assert "channels of the plan" not in pages.said(ada, "channels/")
    plan_changes.set_overrides(alice.workspace, {"channels": 1})
    assert "All 1 channels of the plan Pro are in use." in pages.said(ada, "channels/")
    refused = ada.client().post(f"{ada.home}channels/", {"name": "more"}).content.decode()
    assert ">the billing page</a>" in refused
