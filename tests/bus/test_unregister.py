from __future__ import annotations

from bus.models import Instance, Wait
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.processes import wait_until
from tests.support.surfaces import Result, Surface

UNREGISTER = "unregister"


def status(call: Surface, caller: Caller, name: str) -> str:
    listed = call.ok(caller, "list_instances")["instances"]
    return next(str(each["status"]) for each in listed if each["instance_id"] == name)


def test_who_leaves_is_offline_at_once_and_stays_known(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="a")
    assert status(call, alice, "a") == "online"
    gone = call.ok(alice, UNREGISTER, instance_id="a")
    assert gone.data == {"ok": True}
    if gone.text is not None:
        assert "place is free" in gone.text
    assert status(call, alice, "a") == "offline"
    call.ok(alice, "check_messages", instance_id="a")
    assert status(call, alice, "a") == "online", "any call brings it back"


def test_its_place_is_free_at_once(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    for name in ("a", "b"):
        call.ok(free, "register", instance_id=name)
    call.refused(free, "register", "limit_reached", instance_id="c")
    call.ok(free, UNREGISTER, instance_id="a")
    call.ok(free, "register", instance_id="c")
    call.refused(free, "check_messages", "limit_reached", instance_id="a")


def test_unread_messages_stay_for_when_it_comes_back(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="a")
    call.ok(alice, UNREGISTER, instance_id="a")
    seed(alice, ["while you were out"])
    assert call.ok(alice, "register", instance_id="a")["unread"] == {"general": 1}


def test_leaving_twice_is_fine(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="a")
    call.ok(alice, UNREGISTER, instance_id="a")
    call.ok(alice, UNREGISTER, instance_id="a")


def test_names_with_slashes_and_blanks_can_leave(call: Surface, alice: Caller) -> None:
    for name in ("team/api", "a b", "50%25", "日本?x=1#y", "trailing/", "receipts"):
        call.ok(alice, "register", instance_id=name)
        call.ok(alice, UNREGISTER, instance_id=name)
        assert status(call, alice, name) == "offline"


def test_its_open_wait_ends_and_says_why(call: Surface, alice: Caller) -> None:
    operation = "wait_for_reply" if call.is_mcp else "check_messages"
    waiting = call.start(alice, operation, instance_id="a", **({} if call.is_mcp else {"wait": 30}))
    wait_until(lambda: Wait.objects.filter(workspace=alice.workspace).exists(), 20, lambda: "No wait opened.")
    call.ok(alice, UNREGISTER, instance_id="a")
    answer = waiting.result(20)
    assert isinstance(answer, Result), answer
    assert answer["ended"] == "unregistered"
    assert answer["messages"] == []
    assert status(call, alice, "a") == "offline"


def test_an_unknown_instance_and_somebody_elses_are_told_alike(call: Surface, alice: Caller, mallory: Caller) -> None:
    call.ok(alice, "register", instance_id="hers")
    foreign = call.refused(mallory, UNREGISTER, "not_found", instance_id="hers")
    absent = call.refused(mallory, UNREGISTER, "not_found", instance_id="none")
    assert foreign.message.replace("hers", "none") == absent.message
    assert foreign.status == absent.status == (None if call.is_mcp else 404)
    assert Instance.objects.get(workspace=alice.workspace).left_at is None


def test_a_bound_instance_is_let_go_by_its_own_key_alone(call: Surface, alice: Caller) -> None:
    robot = alice.with_key("robot")
    call.ok(robot, "register")
    call.refused(alice, UNREGISTER, "wrong_instance", instance_id="robot")
    assert status(call, alice, "robot") == "online"
    call.refused(robot, UNREGISTER, "wrong_instance", instance_id="other")
    call.ok(robot, UNREGISTER, instance_id="robot")
    assert status(call, alice, "robot") == "offline"


def test_a_read_only_key_unregisters_nobody(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="a")
    call.refused(alice.with_key(read_only=True), UNREGISTER, "read_only_key", instance_id="a")
    assert status(call, alice, "a") == "online"


def test_a_reserved_name_is_no_instance(call: Surface, alice: Caller) -> None:
    call.refused(alice, UNREGISTER, "invalid_input", instance_id="human")
