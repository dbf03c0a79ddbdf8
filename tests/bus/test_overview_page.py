"""The first page of a workspace: what is used, who is there, who waits for whom, what goes on."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from accounts import services
from accounts.models import AuditEvent, UsageDay
from accounts.plan_changes import set_plan
from bus.models import Channel, Instance
from bus.services import instances
from crosswire.lib import clock as product_clock
from tests.conftest import Clock, MakeWorkspace
from tests.support import hostile, lively, pages
from tests.support.cast import Caller
from tests.support.messages import change_plan, principal_of, seed, use_up
from tests.support.pages import said, shown, text_of
from tests.support.people import make_person, owner_of


def registered(caller: Caller, *names: str) -> None:
    for name in names:
        instances.register(principal_of(caller), instance_id=name, client="codex/1.0")


def test_an_empty_workspace_says_what_to_do_next_instead_of_showing_empty_lists() -> None:
    page = shown(make_person())
    assert "Nobody has spoken here yet" in page
    assert "Connect an agent" in page
    assert "Channels by activity" not in page
    assert "<table" not in page


def test_each_figure_of_the_plan_is_told_with_what_is_left_and_when_it_starts_anew(
    make_workspace: MakeWorkspace,
) -> None:
    caller = make_workspace("free")
    seed(caller, ["x"], sender="a")
    page = said(owner_of(caller))
    assert "Plan Free" in page
    assert "Messages this month 1 of 100 99 left" in page
    assert "Instances 1 of 2 1 left" in page
    assert "Channels 1 of 3 2 left" in page
    assert "Shared data 0 bytes of 1 MB 1 MB left" in page
    assert "count starts anew in " in page
    assert "kept for 7 days" in page


@pytest.mark.parametrize(
    ("sent", "warning"), [(79, ""), (80, "Nearly used up"), (99, "Nearly used up"), (100, "Used up")]
)
def test_what_is_nearly_used_up_is_said_in_words(make_workspace: MakeWorkspace, sent: int, warning: str) -> None:
    caller = make_workspace("free")
    use_up(caller, sent)
    page = said(owner_of(caller))
    assert f"of 100 {warning} {100 - sent} left".replace("  ", " ") in page
    assert ("sed up" in page) == bool(warning)


def test_past_the_plan_the_page_still_stands(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("pro")
    use_up(caller, 10_500)
    change_plan(caller, "free")
    assert "10,500 of 100 Used up 0 left" in said(owner_of(caller))


def test_what_is_still_kept_longer_after_a_smaller_plan_is_told(make_workspace: MakeWorkspace, clock: Clock) -> None:
    caller = make_workspace("pro")
    set_plan(caller.workspace, "free")
    assert "kept for 7 days. Until " in said(owner_of(caller))
    assert "they are still kept for 90 days" in said(owner_of(caller))
    clock.forward(days=31)
    assert "Until " not in said(owner_of(caller))


def test_what_was_kept_without_end_is_not_said_to_be_once_the_plan_is_smaller(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("unlimited")
    set_plan(caller.workspace, "free")
    text = said(owner_of(caller))
    assert "kept for 7 days. Until " in text
    assert "nothing expires, as before the plan changed" in text


def test_without_bounds_there_are_no_meters(make_workspace: MakeWorkspace) -> None:
    page = shown(owner_of(make_workspace("unlimited")))
    assert "<meter" not in page
    assert "kept until somebody deletes them" in text_of(page)


def test_bounds_of_nothing_break_nothing(alice: Caller) -> None:
    change_plan(alice, messages=0, data_bytes=0, channels=1, instances=1)
    page = said(owner_of(alice))
    assert "Messages this month 0 of 0 Used up 0 left" in page
    assert "Channels 1 of 1 Used up 0 left" in page
    assert "Instances 0 of 1 1 left" in page


def test_two_that_wait_for_each_other_are_told_in_words(alice: Caller) -> None:
    registered(alice, "app-builder", "api-expert")
    seed(alice, ["x"], sender="app-builder", channel="orders")
    lively.wait(alice, "app-builder", "orders", minutes=3)
    lively.wait(alice, "api-expert", "orders", minutes=2)
    assert (
        "app-builder waits in #orders for an answer, for 3 minutes; so does api-expert, for 2 minutes: "
        "both wait for each other." in said(owner_of(alice))
    )


def test_three_in_a_ring_across_channels_are_told_together(alice: Caller) -> None:
    registered(alice, "ann", "bo", "cy")
    for name, channel in (("bo", "one"), ("cy", "two"), ("ann", "three")):
        seed(alice, ["x"], sender=name, channel=channel)
    for minutes, (name, channel) in enumerate((("cy", "three"), ("bo", "two"), ("ann", "one")), 1):
        lively.wait(alice, name, channel, minutes=minutes)
    page = said(owner_of(alice))
    assert (
        "ann waits in #one for an answer, for 3 minutes; so does bo in #two, for 2 minutes; so does cy in #three, "
        "for 1 minute: all 3 wait for each other." in page
    )


def test_who_could_answer_is_named_and_who_waits_as_well_too(alice: Caller) -> None:
    registered(alice, "ann", "bo", "cy", "dee")
    seed(alice, ["x"], sender="bo", channel="free-to-speak")
    seed(alice, ["x"], sender="cy", channel="stuck")
    lively.wait(alice, "ann", "free-to-speak", minutes=1)
    lively.wait(alice, "dee", "stuck", minutes=2)
    lively.wait(alice, "cy", "elsewhere", minutes=1)
    page = said(owner_of(alice))
    assert "ann waits in #free-to-speak for an answer, for 1 minute. bo could answer." in page
    assert "dee waits in #stuck for an answer, for 2 minutes. Who could answer waits as well: cy." in page
    assert "cy waits in #elsewhere for an answer, for 1 minute. Nobody else who was there in the last hour" in page


def test_many_who_could_answer_are_counted(alice: Caller) -> None:
    registered(alice, "ann")
    for index in range(8):
        seed(alice, ["x"], sender=f"i{index}", channel="crowd")
    lively.wait(alice, "ann", "crowd")
    assert "i0, i1, i2, i3, i4 and 3 others could answer." in said(owner_of(alice))


def test_a_task_that_nobody_asks_for_is_said_to_be_so(alice: Caller) -> None:
    registered(alice, "ann")
    lively.wait(alice, "ann", "orders", kind="task", minutes=20, silent_minutes=4)
    page = said(owner_of(alice))
    assert (
        "ann left a task to wait in #orders 20 minutes ago, but its client has not asked for it for 4 minutes: "
        "nobody listens." in page
    )
    assert "Nobody waits" not in page


def test_a_wait_of_a_dead_process_is_not_there(alice: Caller) -> None:
    registered(alice, "ann")
    lively.wait(alice, "ann", "orders", minutes=5, silent_minutes=2)
    assert "Nobody waits for anybody now." in said(owner_of(alice))


def test_other_ways_to_wait_have_their_own_words(alice: Caller) -> None:
    registered(alice, "ann", "bo", "cy")
    lively.wait(alice, "ann", "", kind="listener", minutes=1)
    lively.wait(alice, "bo", "orders", role="parked", minutes=1)
    lively.wait(alice, "cy", "", kind="events", minutes=1)
    page = said(owner_of(alice))
    assert "ann waits for news in any channel, for 1 minute." in page
    assert "bo is parked in #orders, for 1 minute; it expects nothing soon." in page
    assert "Follows the stream of events" in page


def test_an_instance_is_told_with_its_client_and_how_it_hears(alice: Caller, clock: Clock) -> None:
    registered(alice, "ann")
    page = said(owner_of(alice))
    assert "ann online codex/1.0 · last seen just now Sees a message when it looks next." in page
    clock.forward(minutes=10)
    assert "ann offline codex/1.0 · last seen 10 minutes ago Sees messages when it comes back." in said(owner_of(alice))


def test_those_who_wait_come_first_however_long_they_have(alice: Caller) -> None:
    registered(alice, "patient", *(f"i{index:02}" for index in range(15)))
    lively.wait(alice, "patient", "orders", minutes=60)
    page = shown(owner_of(alice), "presence")
    names = re.findall(r"<strong>([\w-]+)</strong>\s*<span class=\"badge", page)
    assert names[0] == "patient"
    assert len(names) == 10
    assert "All instances" in page


def test_messages_are_shown_by_day_and_by_instance_with_a_table_beside(alice: Caller, clock: Clock) -> None:
    seed(alice, ["x", "y"], sender="ann")
    today = clock.now().date()
    for back, count in ((1, 40), (29, 7), (30, 1_000)):
        UsageDay.objects.create(
            workspace=alice.workspace, day=today - timedelta(days=back), instance="bo", messages=count
        )
    page = shown(owner_of(alice))
    assert "49 messages" in text_of(page)
    assert page.count('class="chart-bar"') == 30 + 2
    assert 'height="80.00"' in page  # 40 on an axis that ends at 50
    assert re.search(r"bo\s.*?47\s.*ann.*?2\s", text_of(page))
    assert "1,000" not in page


def test_the_eight_latest_channels_are_listed(alice: Caller) -> None:
    for index in range(10):
        seed(alice, ["x"] * 2, sender="ann", channel=f"c{index}")
    page = said(owner_of(alice))
    assert "#c9 2 messages" in page
    assert "#c2 2 messages" in page
    assert "#c1 2 messages" not in page


def test_a_pager_leads_through_a_thousand_instances(alice: Caller, clock: Clock) -> None:
    now = clock.now()
    rows = [
        Instance(workspace=alice.workspace, name=f"i{index:04}", last_seen_at=now - timedelta(seconds=index // 3))
        for index in range(120)
    ]
    Instance.objects.bulk_create(rows)
    ada = owner_of(alice)
    client, address, names = ada.client(), f"{ada.home}instances", []
    for _ in range(3):
        page = client.get(address).content.decode()
        names += re.findall(r"<strong>(i\d+)</strong>", page)
        older = re.search(r'href="([^"]+\?after=[^"]+)"', page)
        address = unescape(older[1]) if older else ""
    assert names == [row.name for row in rows]
    assert address == ""


@pytest.mark.parametrize(
    "mark", ["", "x", "~", "2026-01-01~x", "9999-12-31T23:59:59-12:00~x", "2026-01-01T00:00:00Z~%00", "a" * 5_000]
)
def test_any_mark_gives_a_page(alice: Caller, mark: str) -> None:
    registered(alice, "ann")
    ada = owner_of(alice)
    assert ada.client().get(f"{ada.home}instances?after={mark}").status_code == 200


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_nothing_that_agents_write_is_more_than_text(alice: Caller, text: str) -> None:
    name = text.strip()[:80].strip()
    principal = principal_of(alice)
    instances.register(principal, instance_id=name, client=text[:120], description=text)
    registered(alice, "bo")
    seed(alice, ["x"], sender=name)
    seed(alice, ["x"], sender="bo")
    Channel.objects.filter(workspace=alice.workspace).update(description=text)
    alice.workspace.name = text
    alice.workspace.save()
    for who in (name, "bo"):
        lively.wait(alice, who, "general")
    ada = make_person(alice.workspace, name=text[:150])
    for path in ("", "presence", "instances"):
        hostile.assert_inert(shown(ada, path))


@pytest.mark.parametrize("path", ["", "presence", "instances"])
def test_the_page_of_another_workspace_looks_absent(alice: Caller, path: str) -> None:
    mallory = make_person()
    answer = mallory.client().get(f"/w/{alice.workspace.slug}/{path}")
    assert answer.status_code == 404
    assert alice.workspace.name not in answer.content.decode()


@pytest.mark.parametrize("path", ["", "presence", "instances"])
def test_a_stranger_is_sent_to_sign_in_and_nobody_can_post(alice: Caller, path: str) -> None:
    ada = owner_of(alice)
    client = ada.client()
    assert client.post(ada.home + path).status_code == 405
    client.logout()
    assert client.get(ada.home + path).headers["Location"].startswith("/accounts/login/")


def test_a_viewer_sees_it_and_a_suspended_workspace_shows_nothing(alice: Caller) -> None:
    seed(alice, ["x"], sender="zoe")
    vi = make_person(alice.workspace, "viewer")
    assert "zoe" in shown(vi)
    services.suspend(alice.workspace, "unpaid")
    for path in ("", "presence", "instances"):
        assert "zoe" not in shown(vi, path, status=403)


def test_the_piece_that_is_refreshed_is_what_the_page_shows(alice: Caller) -> None:
    registered(alice, "ann")
    lively.wait(alice, "ann", "orders", minutes=5)
    ada = owner_of(alice)
    piece = shown(ada, "presence")
    assert "<html" not in piece
    assert text_of(piece) in said(ada)


def test_one_workspace_sees_nothing_of_another(alice: Caller, mallory: Caller) -> None:
    lively.fill(alice, 30)
    registered(mallory, "only-hers")
    page = said(owner_of(mallory))
    assert "only-hers" in page
    assert not any(name in page for name in (*lively.AGENTS, *lively.CHANNELS))


@pytest.mark.parametrize("path", ["", "presence", "instances"])
def test_a_full_workspace_costs_few_statements(alice: Caller, clock: Clock, path: str) -> None:
    lively.fill(alice, 60)
    for index in range(40):
        name = f"w{index}"
        registered(alice, name)
        seed(alice, ["x"], sender=name, channel=f"c{index % 12}")
        lively.wait(alice, name, f"c{index % 12}", minutes=index)
    ada = owner_of(alice)
    client = ada.client()
    client.get(ada.home + path)
    with pages.counting() as ran:
        page = client.get(ada.home + path).content
    assert len(ran) < pages.QUERIES, "\n".join(ran)
    assert len(page) < 100_000


# --- places -----------------------------------------------------------------------------------------------------

FREE = 'value="{}"'


def test_a_place_is_freed_by_hand_though_its_name_has_a_key_of_its_own(make_workspace: MakeWorkspace) -> None:
    caller = make_workspace("free")
    registered(caller, "ann")
    services.create_key(caller.workspace, "bo", instance_id="bo")
    ada = owner_of(caller)
    Instance.objects.create(workspace=caller.workspace, name="bo", last_seen_at=product_clock.now())
    client = ada.client()
    for path, name in (("", "ann"), ("instances", "bo")):
        assert FREE.format(name) in shown(ada, path)
        answer = client.post(f"{ada.home}instances/free", {"instance_id": name, "back": path}, follow=True)
        assert answer.redirect_chain == [(ada.home + path, 302)]
        page = answer.content.decode()
        assert f"The place of {name} is free" in page
        assert FREE.format(name) not in page
    assert "Instances 0 of 2 2 left" in said(ada)
    told = AuditEvent.objects.filter(workspace=caller.workspace, action="instance.freed").order_by("pk")
    assert [(each.actor, each.target) for each in told] == [(ada.user.email, "ann"), (ada.user.email, "bo")]


def test_who_waits_under_a_freed_name_is_told(alice: Caller) -> None:
    registered(alice, "ann")
    lively.wait(alice, "ann", "orders")
    ada = owner_of(alice)
    ada.client().post(f"{ada.home}instances/free", {"instance_id": "ann"})
    assert "Nobody waits for anybody now." in said(ada)


def test_only_who_may_is_offered_it_and_only_where_places_are_counted(make_workspace: MakeWorkspace) -> None:
    for plan, role, is_offered in (("free", "member", True), ("free", "viewer", False), ("unlimited", "owner", False)):
        caller = make_workspace(plan)
        registered(caller, "ann")
        assert (FREE.format("ann") in shown(make_person(caller.workspace, role), "instances")) is is_offered


@pytest.mark.parametrize(("name", "status"), [("", 400), ("a\0b", 400), ("nobody", 404), ("only-hers", 404)])
def test_what_is_no_instance_here_has_no_place_to_free(alice: Caller, mallory: Caller, name: str, status: int) -> None:
    registered(mallory, "only-hers")
    ada = owner_of(alice)
    assert ada.client().post(f"{ada.home}instances/free", {"instance_id": name}).status_code == status
    assert Instance.objects.get(workspace=mallory.workspace, name="only-hers").left_at is None


def test_the_meter_says_how_places_become_free(make_workspace: MakeWorkspace) -> None:
    ada = owner_of(make_workspace("free"))
    assert f'<a href="{ada.home}instances">by hand</a>' in shown(ada)
