"""What every page of a workspace says above its content: two things at most."""

from __future__ import annotations

import re

import pytest

from accounts import plan_changes, services
from accounts.models import Workspace
from bus.models import Counters
from tests.conftest import Clock, MakeWorkspace
from tests.support import pages
from tests.support.cast import Caller
from tests.support.messages import change_plan, use_up
from tests.support.people import Person, make_person, owner_of

_BANNER = re.compile(r'(?s)<p class="notice banner (\w+)">(.*?)</p>')


@pytest.fixture
def free(make_workspace: MakeWorkspace) -> Caller:
    return make_workspace("free")


def banners(person: Person, path: str = "") -> list[str]:
    return [f"{tone}: {pages.text_of(text)}" for tone, text in _BANNER.findall(pages.shown(person, path))]


def fill_data(caller: Caller, used: int) -> None:
    Counters.objects.filter(workspace=caller.workspace).update(data_bytes=used)


def test_a_workspace_with_room_says_nothing(free: Caller) -> None:
    use_up(free, 79)
    fill_data(free, 799_999)
    assert banners(owner_of(free)) == []


@pytest.mark.parametrize(
    "path", ["", "channels/", "channels/general/", "keys", "members", "settings", "search", "data/"]
)
def test_every_page_says_that_messages_are_nearly_used(free: Caller, path: str) -> None:
    use_up(free, 83)
    [said] = banners(owner_of(free), path)
    assert said.startswith("warning: 83 of 100 messages of this month are used. The count starts anew on 1 ")
    assert said.endswith("Upgrade")


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
def test_who_may_not_pay_is_led_to_who_may(free: Caller, role: str) -> None:
    use_up(free, 100)
    [said] = banners(make_person(free.workspace, role))
    assert said.startswith("error: All 100 messages of this month are used: further ones are refused until 1 ")
    assert said.endswith("Who can upgrade")


def test_shared_data_is_told_of_in_its_own_unit(free: Caller) -> None:
    fill_data(free, 850_000)
    assert banners(owner_of(free)) == ["warning: 850 kB of 1 MB of shared data are used. Upgrade"]
    fill_data(free, 1_000_000)
    assert banners(owner_of(free)) == ["error: Shared data is full (1 MB of 1 MB): new items are refused. Upgrade"]


def test_history_that_ends_is_told_of_with_an_export_offered_to_who_may(alice: Caller, clock: Clock) -> None:
    ada, bob = owner_of(alice), make_person(alice.workspace, "member")
    plan_changes.set_plan(alice.workspace, "free")
    [said] = banners(ada)
    assert re.fullmatch(r"warning: History older than 7 days is kept until \d+ \w+( \d+)?, \d\d:\d\d, .*first", said)
    assert banners(bob)[0].endswith("then it goes.")
    clock.forward(days=31)
    assert banners(ada) == []


def test_of_two_holds_the_next_fall_is_told_and_a_hold_that_changes_nothing_is_not(alice: Caller, clock: Clock) -> None:
    ada = owner_of(alice)
    plan_changes.set_plan(alice.workspace, "starter")
    clock.forward(days=10)
    plan_changes.set_plan(alice.workspace, "free")
    assert "older than 30 days" in banners(ada)[0]
    clock.forward(days=21)
    assert "older than 7 days" in banners(ada)[0]
    plan_changes.set_plan(alice.workspace, "pro")
    assert banners(ada) == []


def test_of_three_things_the_two_most_urgent_are_told(alice: Caller) -> None:
    plan_changes.set_plan(alice.workspace, "free")
    use_up(alice, 85)
    fill_data(alice, 2_000_000)
    assert [said.partition(" ")[0] for said in banners(owner_of(alice))] == ["error:", "warning:"]
    change_plan(alice, "free", messages=50)
    assert [said[:20] for said in banners(owner_of(alice))] == ["error: All 50 messag", "error: Shared data i"]


def test_a_suspended_workspace_says_that_alone(free: Caller) -> None:
    ada = owner_of(free)
    use_up(free, 100)
    services.suspend(Workspace.objects.get(pk=free.workspace.pk), "unpaid")
    assert banners(ada, "settings") == []
