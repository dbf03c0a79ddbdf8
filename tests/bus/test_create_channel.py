from __future__ import annotations

import pytest

from bus.models import Channel
from crosswire.lib import clock
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, seed
from tests.support.surfaces import Refusal, Surface

CREATE = "create_channel"


def names(caller: Caller) -> set[str]:
    return set(Channel.objects.filter(workspace=caller.workspace).values_list("name", flat=True))


def test_a_new_workspace_has_general_alone(call: Surface, alice: Caller) -> None:
    assert [each["name"] for each in call.ok(alice, "list_channels")["channels"]] == ["general"]


def test_a_channel_is_made_and_one_that_is_there_is_fine(call: Surface, alice: Caller) -> None:
    made = call.ok(alice, CREATE, name="deploys", description="what goes out")
    assert made.data == {"ok": True, "channel": "deploys", "created": True, "similar": []}
    again = call.ok(alice, CREATE, name="deploys", description="another text")
    assert again.data == {"ok": True, "channel": "deploys", "created": False, "similar": []}
    assert Channel.objects.get(workspace=alice.workspace, name="deploys").description == "what goes out"
    if made.text is not None:
        assert "Channel #deploys created" in made.text
        assert "normalized" not in made.text
        assert again.text is not None
        assert "exists already" in again.text


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("Bug Reports", "bug-reports"),
        ("bug_reports", "bug-reports"),
        ("--Bug  _ Reports!--", "bug-reports"),
        ("#bug-reports", "bug-reports"),
        ("Bug/Reports.", "bugreports"),
        ("ünïcode", "ncode"),
        ("x" * 80, "x" * 80),
        ("!" * 500 + "a", "a"),
    ],
)
def test_a_name_is_normalized_and_the_answer_says_so(call: Surface, alice: Caller, asked: str, name: str) -> None:
    made = call.ok(alice, CREATE, name=asked)
    assert made["channel"] == name
    if made.text is not None and asked != name:
        assert f'normalized from "{asked}"' in made.text
    assert call.ok(alice, "send_message", channel=asked, sender="a", content="x")["channel"] == name
    assert len(call.ok(alice, "check_messages", channel=name)["messages"]) == 1
    assert names(alice) == {"general", name}


@pytest.mark.parametrize("name", ["", "   ", "---", "日本", "!?", "x" * 81, "a" * 1001])
def test_a_name_of_which_nothing_is_left_or_too_much_is_refused(call: Surface, alice: Caller, name: str) -> None:
    call.refused(alice, CREATE, "invalid_input", name=name)
    assert names(alice) == {"general"}


@pytest.mark.parametrize("description", ["two\nlines", "x" * 501, "\x00"])
def test_a_description_is_one_line_of_at_most_500_characters(call: Surface, alice: Caller, description: str) -> None:
    call.refused(alice, CREATE, "invalid_input", name="a", description=description)
    assert names(alice) == {"general"}


def test_channels_that_look_alike_are_named(call: Surface, alice: Caller) -> None:
    for name in ("deployments", "frontend", "backend"):
        call.ok(alice, CREATE, name=name)
    made = call.ok(alice, CREATE, name="deployment")
    assert made["similar"] == ["deployments"]
    if made.text is not None:
        assert "similar channels: #deployments" in made.text
    assert call.ok(alice, CREATE, name="backend-api")["similar"] == ["backend"]
    assert call.ok(alice, CREATE, name="zzz")["similar"] == []


def test_the_limit_counts_general_and_is_told_with_what_to_do(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    for name in ("two", "three"):
        call.ok(free, CREATE, name=name)
    refusal = call.refused(free, CREATE, "limit_reached", name="four")
    assert refusal.status == (None if call.is_mcp else 429)
    assert (refusal.details["plan"], refusal.details["limit"], refusal.details["used"]) == ("free", 3, 3)
    assert refusal.details["upgrade_url"].endswith("/billing")
    assert refusal.details["upgrade_url"] in refusal.message
    assert names(free) == {"general", "two", "three"}
    assert call.ok(free, CREATE, name="two")["created"] is False, "what is there needs no room"


def test_a_message_to_a_new_channel_does_not_slip_past_the_limit(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    call.ok(free, CREATE, name="two")
    call.ok(free, "send_message", channel="three", sender="a", content="makes it")
    call.refused(free, "send_message", "limit_reached", channel="four", sender="a", content="would make it")
    assert names(free) == {"general", "two", "three"}


def test_an_archived_channel_needs_room_to_come_back(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    call.ok(free, CREATE, name="old", description="kept")
    seed(free, ["kept too"], channel="old")
    Channel.objects.filter(workspace=free.workspace, name="old").update(archived_at=clock.now())
    for name in ("two", "three"):
        call.ok(free, CREATE, name=name)
    call.refused(free, CREATE, "limit_reached", name="old")
    change_plan(free, "starter")
    assert call.ok(free, CREATE, name="old")["created"] is True
    (old,) = call.ok(free, "find_channel", query="old")["channels"]
    assert (old["description"], old["message_count"]) == ("kept", 1)


def test_after_a_downgrade_nothing_is_hidden_and_nothing_new_is_made(
    call: Surface, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace("starter")
    for number in range(6):
        call.ok(workspace, CREATE, name=f"c{number}")
    change_plan(workspace, "free")
    assert len(call.ok(workspace, "list_channels")["channels"]) == 7
    call.ok(workspace, "send_message", channel="c5", sender="a", content="still usable")
    assert call.ok(workspace, CREATE, name="c5")["created"] is False
    call.refused(workspace, CREATE, "limit_reached", name="c6")


def test_parallel_makers_get_exactly_the_channels_that_are_left(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    begun = [call.start(free, CREATE, name=f"c{number}") for number in range(8)]
    refused = [answer for each in begun if isinstance(answer := each.result(60), Refusal)]
    assert {answer.code for answer in refused} == {"limit_reached"}
    assert len(refused) == 6
    assert len(names(free)) == 3


def test_the_same_channel_made_by_many_at_once_is_one(call: Surface, alice: Caller) -> None:
    begun = [call.start(alice, CREATE, name="same") for _ in range(6)]
    answers = [each.result(60) for each in begun]
    assert not [answer for answer in answers if isinstance(answer, Refusal)]
    assert sorted(answer.data["created"] for answer in answers if not isinstance(answer, Refusal)) == [False] * 5 + [
        True
    ]


def test_a_read_only_key_makes_none(call: Surface, alice: Caller) -> None:
    call.refused(alice.with_key(read_only=True), CREATE, "read_only_key", name="a")
    assert names(alice) == {"general"}


def test_strangers_have_channels_of_their_own_and_see_no_likeness(
    call: Surface, alice: Caller, mallory: Caller
) -> None:
    call.ok(alice, CREATE, name="secret-plans", description="hers")
    assert call.ok(mallory, CREATE, name="secret-plan").data["similar"] == []
    assert call.ok(mallory, CREATE, name="secret-plans")["created"] is True
    assert Channel.objects.get(workspace=mallory.workspace, name="secret-plans").description == ""
