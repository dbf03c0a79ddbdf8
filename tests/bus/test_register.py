from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from accounts.models import AuditEvent
from bus.models import Instance, Wait
from bus.services import instances
from tests.bus.waiters import begin
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, seed
from tests.support.processes import wait_until
from tests.support.surfaces import Refusal, Result, Surface, SurfaceName

type Waiting = Future[Result | Refusal]

REGISTER = "register"


def names(caller: Caller) -> list[str]:
    return sorted(Instance.objects.filter(workspace=caller.workspace).values_list("name", flat=True))


def test_a_newcomer_learns_the_channels_who_is_here_and_what_is_unread(call: Surface, alice: Caller) -> None:
    answer = call.ok(alice, REGISTER, instance_id="api-expert", description="knows the API", client="codex/1.2")
    assert set(answer) == {"ok", "instance_id", "is_new", "channels", "instances", "unread"}
    assert (answer["ok"], answer["instance_id"], answer["is_new"], answer["unread"]) == (True, "api-expert", True, {})
    assert [channel["name"] for channel in answer["channels"]] == ["general"]
    (me,) = answer["instances"]
    assert (me["instance_id"], me["description"], me["status"], me["client"]) == (
        "api-expert",
        "knows the API",
        "online",
        "codex/1.2",
    )
    if answer.text is not None:
        assert 'Registered as "api-expert"' in answer.text
        assert "#general" in answer.text


def test_of_many_a_newcomer_is_shown_some_and_first_who_is_online(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "SHOWN_TO_NEWCOMERS", 2)
    for name in ("ann", "bo", "cleo"):
        call.ok(alice, "register", instance_id=name)
    for name in ("bo", "cleo"):
        call.ok(alice, "unregister", instance_id=name)
    shown = call.ok(alice, "register", instance_id="dora")["instances"]
    assert [(each["instance_id"], each["status"]) for each in shown] == [("dora", "online"), ("ann", "online")]


def test_coming_back_keeps_what_is_not_said_anew(call: Surface, alice: Caller) -> None:
    call.ok(alice, REGISTER, instance_id="a", description="first", client="codex/1")
    again = call.ok(alice, REGISTER, instance_id="a", client="codex/2")
    assert again["is_new"] is False
    assert [(each["description"], each["client"]) for each in again["instances"]] == [("first", "codex/2")]
    assert call.ok(alice, REGISTER, instance_id="a", description="second")["instances"][0]["description"] == "second"
    assert names(alice) == ["a"]


def test_the_client_is_known_without_being_named(call: Surface, alice: Caller) -> None:
    (me,) = call.ok(alice, REGISTER, instance_id="a")["instances"]
    names_itself = call.name == "mcp-2026-07-28"  # the older era does so in `initialize`, and no session remembers it
    assert me["client"] == "crosswire-tests/1" if names_itself else me["client"].startswith("python-httpx2/")


def test_what_was_written_before_one_came_is_history_and_later_messages_are_unread(
    call: Surface, alice: Caller
) -> None:
    seed(alice, ["before"])
    assert call.ok(alice, REGISTER, instance_id="reader")["unread"] == {}
    seed(alice, ["after", "and again"])
    seed(alice, ["elsewhere"], channel="new-one")
    back = call.ok(alice, REGISTER, instance_id="reader")
    assert back["unread"] == {"general": 2, "new-one": 1}
    if back.text is not None:
        assert "2 in #general" in back.text
    assert call.ok(alice, REGISTER, instance_id="writer")["unread"] == {}, "its own messages"


def test_a_malformed_or_reserved_name_is_refused_and_leaves_nothing(call: Surface, alice: Caller) -> None:
    malformed = ["", " a", "a ", "a\nb", "a\tb", "a\x00b", "x" * 81, "a\u2028b", "a\u202eb"]
    for name in [*malformed, "human", "System", "operator", "crosswire", "ALL"]:
        assert call.refused(alice, REGISTER, "invalid_input", instance_id=name).message
    assert "instance_id" in call.refused(alice, REGISTER, "invalid_input").message
    assert names(alice) == []


def test_names_may_have_any_letters(call: Surface, alice: Caller) -> None:
    for name in ("x" * 80, "a b", "team/api", "日本 🚀", "50%_\\'\"", "<b>"):
        assert call.ok(alice, REGISTER, instance_id=name)["instance_id"] == name


def test_an_unknown_argument_is_refused(call: Surface, alice: Caller) -> None:
    refusal = call.refused(alice, REGISTER, "invalid_input", instance_id="a", colour="blue")
    assert "colour" in refusal.message
    assert "takeover" in refusal.message, "what there is instead"
    assert names(alice) == []


@pytest.mark.parametrize("description", ["two\nlines", "x" * 501, " blanks "])
def test_a_description_is_one_line(call: Surface, alice: Caller, description: str) -> None:
    call.refused(alice, REGISTER, "invalid_input", instance_id="a", description=description)


# --- whose name it is -------------------------------------------------------------------------------------------


def test_a_key_that_is_bound_speaks_for_its_instance_alone(call: Surface, alice: Caller) -> None:
    bound = alice.with_key("robot")
    assert call.ok(bound, REGISTER)["instance_id"] == "robot"
    assert call.ok(bound, REGISTER, instance_id="robot")["is_new"] is False
    refusal = call.refused(bound, REGISTER, "wrong_instance", instance_id="other")
    assert refusal.details == {"instance_id": "robot"}
    assert refusal.status == (None if call.is_mcp else 403)
    assert names(alice) == ["robot"]


def test_no_other_credential_may_register_a_bound_instance(call: Surface, alice: Caller, bob: Caller) -> None:
    call.ok(bob, REGISTER, instance_id="robot")  # nobody's yet
    alice.key_for("robot")
    for caller in (alice, bob):
        call.refused(caller, REGISTER, "wrong_instance", instance_id="robot", takeover=True)


def test_a_read_only_key_registers_nothing(call: Surface, alice: Caller) -> None:
    for caller in (alice.with_key(read_only=True), alice.with_key("robot", read_only=True)):
        call.refused(caller, REGISTER, "read_only_key", instance_id="robot")
    assert names(alice) == []


def test_a_strangers_instance_of_the_same_name_is_another_one(call: Surface, alice: Caller, mallory: Caller) -> None:
    call.ok(alice, REGISTER, instance_id="api", description="hers")
    answer = call.ok(mallory, REGISTER, instance_id="api", description="mine", takeover=True)
    assert answer["is_new"] is True
    assert [each["description"] for each in answer["instances"]] == ["mine"]
    assert Instance.objects.get(workspace=alice.workspace).description == "hers"


# --- a live instance is not overwritten -------------------------------------------------------------------------


@pytest.fixture
def waiting(surface: Callable[[SurfaceName], Surface], alice: Caller) -> Iterator[Waiting]:
    """A wait of Alice's instance `a` that is open, from the client `crosswire-tests/1`."""
    answer = surface("mcp-2026-07-28").start(alice, "wait_for_reply", instance_id="a")
    wait_until(
        lambda: Wait.objects.filter(workspace=alice.workspace, ended_at=None).exists(), 20, lambda: "No wait opened."
    )
    yield answer
    if not answer.done():
        surface("lane").ok(alice, "unregister", instance_id="a")
        answer.result(20)


def test_another_client_cannot_take_the_name_of_one_that_waits(call: Surface, alice: Caller, waiting: Waiting) -> None:
    refusal = call.refused(alice, REGISTER, "instance_in_use", instance_id="a", client="claude-code/2", description="x")
    assert refusal.status == (None if call.is_mcp else 409)
    assert refusal.details == {"free_name": "a-2"}
    assert "crosswire-tests" in refusal.message
    assert "takeover" in refusal.message
    assert not waiting.done()
    assert Instance.objects.get(workspace=alice.workspace, name="a").description == ""
    assert call.ok(alice, REGISTER, instance_id="a-2", client="claude-code/2")["is_new"]


def test_the_same_client_comes_back_whatever_its_version(call: Surface, alice: Caller, waiting: Waiting) -> None:
    assert call.ok(alice, REGISTER, instance_id="a", client="crosswire-tests/99")["is_new"] is False
    assert not waiting.done()


def test_a_takeover_ends_the_other_clients_wait_and_is_recorded(call: Surface, alice: Caller, waiting: Waiting) -> None:
    call.ok(alice, REGISTER, instance_id="a", client="claude-code/2", takeover=True)
    ended = waiting.result(20)
    assert isinstance(ended, Result), ended
    assert ended["ended"] == "superseded"
    recorded = AuditEvent.objects.get(workspace=alice.workspace, action="instance.takeover")
    assert (recorded.target, recorded.details["client"]) == ("a", "claude-code/2")
    assert call.ok(alice, REGISTER, instance_id="a", client="claude-code/2")["is_new"] is False


# --- places -----------------------------------------------------------------------------------------------------


def test_a_taken_place_is_told_with_who_holds_it_and_until_when(
    call: Surface, make_workspace: MakeWorkspace, clock: Clock
) -> None:
    free = make_workspace("free")
    call.ok(free, REGISTER, instance_id="first")
    clock.forward(minutes=10)
    call.ok(free, REGISTER, instance_id="second")
    refusal = call.refused(free, REGISTER, "limit_reached", instance_id="third")
    assert refusal.status == (None if call.is_mcp else 429)
    assert (refusal.details["plan"], refusal.details["limit"], refusal.details["used"]) == ("free", 2, 2)
    assert refusal.details["upgrade_url"].endswith("/billing")
    assert list(refusal.details["places"]) == ["first", "second"], "the one that frees first, first"
    assert '"first"' in refusal.message
    assert refusal.details["places"]["first"] in refusal.message
    assert names(free) == ["first", "second"]
    clock.forward(minutes=20, seconds=1)
    assert call.ok(free, REGISTER, instance_id="third")["is_new"]
    call.refused(free, REGISTER, "limit_reached", instance_id="first")  # known, but its place is gone
    call.ok(free, "unregister", instance_id="second")
    assert call.ok(free, REGISTER, instance_id="first")["is_new"] is False


@pytest.mark.parametrize("call", ["lane"], indirect=True)
def test_a_place_is_not_said_to_be_free_at_a_time_that_has_passed(call: Surface, make_workspace: MakeWorkspace) -> None:
    anna = make_workspace("free")
    begin(call, anna, "check_messages", instance_id="ann", wait=20)
    call.ok(anna, REGISTER, instance_id="bo")
    refusal = call.refused(anna, REGISTER, "limit_reached", instance_id="cy")
    assert refusal.details["places"].keys() == {"ann", "bo"}
    assert refusal.details["places"]["ann"] is None
    assert '"ann" (as long as it waits)' in refusal.message
    call.ok(anna, "unregister", instance_id="ann")


def test_who_holds_a_place_is_let_in_though_all_are_taken(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    for name in ("a", "b", "a", "b"):
        call.ok(free, REGISTER, instance_id=name)


def test_a_change_of_the_plan_holds_from_the_next_call(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    for name in ("a", "b"):
        call.ok(free, REGISTER, instance_id=name)
    change_plan(free, "starter")
    for name in ("c", "d", "e"):
        call.ok(free, REGISTER, instance_id=name)
    change_plan(free, "starter", instances=4)
    assert call.refused(free, REGISTER, "limit_reached", instance_id="f").details["limit"] == 4
    call.ok(free, REGISTER, instance_id="e")  # after a downgrade what is here stays


def test_parallel_newcomers_get_exactly_the_places_there_are(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    begun = [call.start(free, REGISTER, instance_id=f"n{number}") for number in range(8)]
    answers = [each.result(60) for each in begun]
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert {answer.code for answer in refused} == {"limit_reached"}
    assert len(refused) == 6
    assert len(names(free)) == 2
