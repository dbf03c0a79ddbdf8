"""What pages tell of what age has taken."""

from __future__ import annotations

from accounts import pruned
from accounts.models import Pruned
from bus import pruning
from bus.services import shared
from tests.conftest import Clock, MakeWorkspace
from tests.support import hostile
from tests.support.cast import Caller
from tests.support.messages import principal_of, seed
from tests.support.pages import said, shown
from tests.support.people import make_person, owner_of


def emptied(make_workspace: MakeWorkspace, clock: Clock, *keys: str) -> Caller:
    """Return a workspace from which three messages and these items went today."""
    caller = make_workspace("free")
    seed(caller, ["x"] * 3)
    for key in keys:
        shared.share(principal_of(caller), key=key, content="x", sender="a")
    clock.forward(days=8)
    pruning.prune(caller.workspace.pk)
    return caller


def test_overview_and_settings_tell_for_thirty_days_what_went(make_workspace: MakeWorkspace, clock: Clock) -> None:
    ada = owner_of(emptied(make_workspace, clock, "report"))
    assert "Removed in the last 30 days because of their age: 3 messages, 1 item of shared data." in said(ada)
    day = f"{clock.now().day} {clock.now():%b}"
    page = said(ada, "settings")
    assert f"Removed because of its age, last on {day}" in page
    assert f"{day}: 3 messages {day}: 1 item of shared data report" in page
    clock.forward(days=30)
    assert "Removed" not in said(ada)
    assert "Removed because" not in said(ada, "settings")


def test_where_nothing_went_nothing_is_told(alice: Caller) -> None:
    ada = owner_of(alice)
    seed(alice, ["x"])
    for path in ("", "settings", "data/"):
        assert "Removed" not in said(ada, path)


def test_shared_data_that_expired_is_told_by_name(make_workspace: MakeWorkspace, clock: Clock) -> None:
    caller = emptied(make_workspace, clock, "plans/orders.md", "<b>bold</b>")
    page = shown(make_person(caller.workspace, "viewer"), "data/")
    assert "<code>plans/orders.md</code>" in page
    assert "<code>&lt;b&gt;bold&lt;/b&gt;</code>" in page
    text = said(owner_of(caller), "data/")
    assert "2 items of shared data" in text
    assert "3 messages" not in text, "they are no shared data"


def test_of_very_many_names_some_are_told(make_workspace: MakeWorkspace, clock: Clock) -> None:
    keys = [f"key-{number:02}" for number in range(pruned.NAMED_MOST + 5)]
    text = said(owner_of(emptied(make_workspace, clock, *keys)), "data/")
    assert "25 items of shared data" in text
    assert text.count("key-") == pruned.NAMED_MOST
    assert "and 5 more" in text


def test_bookkeeping_is_recorded_and_not_told(make_workspace: MakeWorkspace, clock: Clock) -> None:
    caller = emptied(make_workspace, clock)
    ((_, taken),) = pruned.last_pruned(caller.workspace.pk)
    assert [each.in_words for each in taken] == ["3 messages"]
    assert Pruned.objects.filter(workspace=caller.workspace, what="channel_senders").exists()


def test_hostile_names_are_text(make_workspace: MakeWorkspace, clock: Clock) -> None:
    keys = [text for text in hostile.TEXTS if len(text) <= 200][:10]
    caller = make_workspace("free")
    pruned.note(caller.workspace.pk, pruned.SHARED_DATA, len(keys), keys)
    assert "<script>alert" not in shown(owner_of(caller), "data/")
