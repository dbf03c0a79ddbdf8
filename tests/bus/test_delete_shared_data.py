from __future__ import annotations

from bus.models import Counters, SharedItem
from tests.conftest import MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan
from tests.support.surfaces import Refusal, Surface

DELETE = "delete_shared_data"


def share(call: Surface, caller: Caller, key: str, content: str = "x") -> None:
    call.ok(caller, "share_data", key=key, content=content, sender="ann")


def used(caller: Caller) -> int:
    return Counters.objects.get(workspace=caller.workspace).data_bytes


def test_a_deleted_item_is_gone_and_gives_its_bytes_back(call: Surface, alice: Caller) -> None:
    share(call, alice, "a/b", "äää")
    share(call, alice, "other", "x")
    gone = call.ok(alice, DELETE, key="a/b")
    assert gone.data == {"ok": True}
    if gone.text is not None:
        assert gone.text == 'Deleted "a/b".'
    call.refused(alice, "get_shared_data", "not_found", key="a/b")
    assert used(alice) == 1


def test_deleting_makes_room(call: Surface, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace()
    change_plan(workspace, data_bytes=10)
    share(call, workspace, "a", "x" * 10)
    call.refused(workspace, "share_data", "limit_reached", key="b", content="x", sender="ann")
    call.ok(workspace, DELETE, key="a")
    share(call, workspace, "b", "x" * 10)


def test_an_absent_item_and_somebody_elses_are_told_alike(call: Surface, alice: Caller, mallory: Caller) -> None:
    share(call, alice, "hers")
    foreign = call.refused(mallory, DELETE, "not_found", key="hers")
    assert foreign.message == 'No shared data found for key "hers".'
    call.ok(alice, DELETE, key="hers")
    assert call.refused(alice, DELETE, "not_found", key="hers").message == foreign.message


def test_only_that_item_goes(call: Surface, alice: Caller) -> None:
    for key in ("a", "a/b", "A", "a%", "%", "_"):
        share(call, alice, key)
    for key in ("%", "_", "a/b"):
        call.ok(alice, DELETE, key=key)
    left = SharedItem.objects.filter(workspace=alice.workspace).values_list("key", flat=True)
    assert set(left) == {"a", "A", "a%"}


def test_many_who_delete_the_same_give_its_bytes_back_once(call: Surface, alice: Caller) -> None:
    share(call, alice, "k", "x" * 100)
    share(call, alice, "other", "x" * 7)
    answers = [each.result(60) for each in [call.start(alice, DELETE, key="k") for _ in range(8)]]
    refused = [answer.code for answer in answers if isinstance(answer, Refusal)]
    assert refused == ["not_found"] * 7
    assert used(alice) == 7


def test_a_read_only_key_deletes_nothing(call: Surface, alice: Caller) -> None:
    share(call, alice, "k")
    call.refused(alice.with_key(read_only=True), DELETE, "read_only_key", key="k")
    call.ok(alice, "get_shared_data", key="k")


def test_a_bound_key_may_delete_what_others_shared(call: Surface, alice: Caller) -> None:
    share(call, alice, "k")
    call.ok(alice.with_key("robot"), DELETE, key="k")


def test_a_malformed_key_is_refused(call: Surface, alice: Caller) -> None:
    for key in ("x" * 201, "a\x00", " a"):
        call.refused(alice, DELETE, "invalid_input", key=key)
