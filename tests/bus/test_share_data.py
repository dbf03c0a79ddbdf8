from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Sum

from bus.models import Counters, Instance, SharedItem
from crosswire.lib import clock as product_clock
from tests.conftest import Clock, MakeWorkspace
from tests.support.cast import Caller
from tests.support.messages import change_plan, plain, seed
from tests.support.surfaces import Refusal, Result, Surface

SHARE = "share_data"


def counted(caller: Caller) -> int:
    """Return the workspace's byte count, after checking it against what is stored."""
    found = Counters.objects.get(workspace=caller.workspace).data_bytes
    stored = SharedItem.objects.filter(workspace=caller.workspace).aggregate(total=Sum("size_bytes"))["total"] or 0
    assert found == stored
    return found


def test_shared_text_can_be_had_by_everybody_as_it_was(call: Surface, alice: Caller, bob: Caller) -> None:
    text = " first line\n\tzweite Zeile: ä 日本 🚀\r\n<b>&amp;</b> \u2028 \x01 "
    made = call.ok(alice, SHARE, key="notes", content=text, sender="ann", description="what we know")
    size = len(text.encode())
    item = SharedItem.objects.get(workspace=alice.workspace)
    expires_at = product_clock.iso(item.created_at + timedelta(days=90))
    assert made.data == {"ok": True, "key": "notes", "size_bytes": size, "expires_at": expires_at}
    assert (item.content, item.created_by, item.description, item.size_bytes) == (text, "ann", "what we know", size)
    got = plain(call.ok(bob, "get_shared_data", key="notes"))
    assert got["content"] == text
    assert counted(alice) == size
    if made.text is not None:
        assert f'Shared {size:,} bytes under key "notes"' in made.text
        assert expires_at in made.text


def test_sharing_again_replaces_all_of_it(call: Surface, alice: Caller, clock: Clock) -> None:
    call.ok(alice, SHARE, key="k", content="a" * 1000, sender="ann", description="first")
    first = call.ok(alice, "list_shared_data")["items"][0]
    clock.forward(days=1)
    call.ok(alice, SHARE, key="k", content="b", sender="bea")
    (item,) = call.ok(alice, "list_shared_data")["items"]
    assert (item["created_by"], item["description"], item["size_bytes"]) == ("bea", "", 1)
    assert item["created_at"] > first["created_at"]
    assert item["expires_at"] > first["expires_at"]
    assert counted(alice) == 1


def test_empty_text_may_be_shared(call: Surface, alice: Caller) -> None:
    assert call.ok(alice, SHARE, key="k", content="", sender="a")["size_bytes"] == 0
    assert plain(call.ok(alice, "get_shared_data", key="k"))["content"] == ""


def test_keys_may_have_slashes_and_any_letters(call: Surface, alice: Caller) -> None:
    keys = ["a/b/c.md", "/lead", "trail/", "a//b", "../up", "50%25?x=1#y", "日本", "x" * 200, "a b", "+", "a&b=c", "."]
    for key in keys:
        assert call.ok(alice, SHARE, key=key, content=key, sender="a")["key"] == key
    assert {each["key"] for each in call.ok(alice, "list_shared_data")["items"]} == set(keys)


@pytest.mark.parametrize("key", ["", " k", "k ", "a\nb", "a\x00b", "a\x7fb", "x" * 201, "a\u2028b", "\ufffe\x1b"])
def test_a_malformed_key_is_refused(call: Surface, alice: Caller, key: str) -> None:
    call.refused(alice, SHARE, "invalid_input", key=key, content="x", sender="a")
    assert counted(alice) == 0
    assert not Instance.objects.filter(workspace=alice.workspace).exists(), "a refusal leaves nothing"


def test_text_that_no_database_takes_is_refused(call: Surface, alice: Caller) -> None:
    for wrong in ({"content": "a\x00b"}, {"content": 5}, {"content": None}, {"description": "a\nb"}, {"sender": ""}):
        arguments = {"key": "k", "content": "x", "sender": "a"} | wrong
        call.refused(alice, SHARE, "invalid_input", **arguments)
    assert counted(alice) == 0


def test_the_sender_is_a_sign_of_life_and_hears_what_is_unread(call: Surface, alice: Caller) -> None:
    call.ok(alice, "register", instance_id="ann")
    seed(alice, ["news"], channel="ops")
    made = call.ok(alice, SHARE, key="k", content="x", sender="ann")
    assert made["unread"] == {"ops": 1}
    if made.text is not None:
        assert "1 in #ops" in made.text


# --- who may ----------------------------------------------------------------------------------------------------


def test_a_bound_key_stamps_the_author(call: Surface, alice: Caller) -> None:
    robot = alice.with_key("robot")
    call.ok(robot, SHARE, key="k", content="x")
    assert call.ok(alice, "list_shared_data")["items"][0]["created_by"] == "robot"
    call.refused(robot, SHARE, "wrong_instance", key="k", content="y", sender="other")
    call.refused(alice, SHARE, "wrong_instance", key="k", content="y", sender="robot")
    assert plain(call.ok(alice, "get_shared_data", key="k"))["content"] == "x"


def test_a_read_only_key_shares_nothing(call: Surface, alice: Caller) -> None:
    call.refused(alice.with_key(read_only=True), SHARE, "read_only_key", key="k", content="x", sender="a")
    assert counted(alice) == 0


def test_a_new_sender_needs_a_place(call: Surface, make_workspace: MakeWorkspace) -> None:
    free = make_workspace("free")
    for name in ("a", "b"):
        call.ok(free, SHARE, key="k", content="x", sender=name)
    refusal = call.refused(free, SHARE, "limit_reached", key="k", content="yy", sender="c")
    assert refusal.details["limit"] == 2
    assert counted(free) == 1


def test_a_strangers_item_of_the_same_key_is_another_one(call: Surface, alice: Caller, mallory: Caller) -> None:
    call.ok(alice, SHARE, key="k", content="hers", sender="a")
    call.ok(mallory, SHARE, key="k", content="mine!", sender="a")
    assert plain(call.ok(alice, "get_shared_data", key="k"))["content"] == "hers"
    assert (counted(alice), counted(mallory)) == (4, 5)


# --- bytes are exact --------------------------------------------------------------------------------------------


def test_bytes_are_utf8_and_exact_to_the_last_one(call: Surface, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace()
    change_plan(workspace, data_bytes=10)
    call.ok(workspace, SHARE, key="a", content="äö", sender="s")
    refusal = call.refused(workspace, SHARE, "limit_reached", key="b", content="1234567", sender="s")
    assert refusal.status == (None if call.is_mcp else 429)
    assert (refusal.details["limit"], refusal.details["used"], refusal.details["plan"]) == (10, 4, "pro")
    call.ok(workspace, SHARE, key="b", content="123456", sender="s")
    assert counted(workspace) == 10
    call.refused(workspace, SHARE, "limit_reached", key="c", content="1", sender="s")
    call.ok(workspace, SHARE, key="a", content="1234", sender="s")  # replaced by as many
    call.refused(workspace, SHARE, "limit_reached", key="a", content="12345", sender="s")
    assert plain(call.ok(workspace, "get_shared_data", key="a"))["content"] == "1234", "the old one is still whole"
    call.ok(workspace, SHARE, key="c", content="", sender="s")


def test_after_a_downgrade_a_smaller_text_may_still_replace_nothing_bigger_may(
    call: Surface, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace()
    call.ok(workspace, SHARE, key="a", content="x" * 50, sender="s")
    call.ok(workspace, SHARE, key="b", content="x" * 50, sender="s")
    change_plan(workspace, data_bytes=60)
    call.refused(workspace, SHARE, "limit_reached", key="c", content="x", sender="s")
    assert len(call.ok(workspace, "list_shared_data")["items"]) == 2
    call.ok(workspace, SHARE, key="a", content="x" * 10, sender="s")
    assert counted(workspace) == 60


def test_one_item_may_not_be_larger_than_the_plan_or_ten_megabytes(
    call: Surface, make_workspace: MakeWorkspace
) -> None:
    free = make_workspace("free")
    refusal = call.refused(free, SHARE, "too_large", key="k", content="x" * 1_000_001, sender="s")
    assert refusal.status == (None if call.is_mcp else 413)
    assert (refusal.details["limit"], refusal.details["size"]) == (1_000_000, 1_000_001)
    call.ok(free, SHARE, key="k", content="x" * 1_000_000, sender="s")
    pro = make_workspace("pro")
    call.ok(pro, SHARE, key="k", content="ä" * 5_000_000, sender="s")
    assert counted(pro) == 10_000_000
    refusal = call.refused(pro, SHARE, "too_large", key="k", content="ä" * 5_000_000 + "x", sender="s")
    assert refusal.details["limit"] == 10_000_000
    assert counted(pro) == 10_000_000


def test_expired_items_make_room_before_a_refusal(call: Surface, make_workspace: MakeWorkspace, clock: Clock) -> None:
    workspace = make_workspace()
    change_plan(workspace, data_bytes=100)
    call.ok(workspace, SHARE, key="old", content="x" * 60, sender="s")
    clock.forward(days=60)
    call.ok(workspace, SHARE, key="live", content="x" * 40, sender="s")
    call.refused(workspace, SHARE, "limit_reached", key="new", content="x" * 60, sender="s")
    clock.forward(days=31)
    call.ok(workspace, SHARE, key="new", content="x" * 60, sender="s")
    assert counted(workspace) == 100
    assert set(SharedItem.objects.filter(workspace=workspace.workspace).values_list("key", flat=True)) == {
        "live",
        "new",
    }


def test_an_expired_item_is_replaced_like_any_other(call: Surface, make_workspace: MakeWorkspace, clock: Clock) -> None:
    workspace = make_workspace()
    change_plan(workspace, data_bytes=100)
    call.ok(workspace, SHARE, key="k", content="x" * 90, sender="s")
    clock.forward(days=91)
    call.ok(workspace, SHARE, key="k", content="y" * 100, sender="s")
    assert counted(workspace) == 100
    clock.forward(days=91)
    call.ok(workspace, SHARE, key="k", content="z", sender="s")  # room enough: nothing else is deleted for it
    assert counted(workspace) == 1


# --- in parallel ------------------------------------------------------------------------------------------------


def test_the_count_is_exact_under_parallel_writes_and_deletes(call: Surface, alice: Caller) -> None:
    for round_ in range(2):
        begun = [
            call.start(alice, SHARE, key=f"k{number % 4}", content="x" * (number + 7 * round_), sender=f"s{number % 3}")
            for number in range(16)
        ]
        begun += [call.start(alice, "delete_shared_data", key=f"k{number}") for number in range(3)]
        for each in begun:
            answer = each.result(60)
            assert isinstance(answer, Result) or answer.code == "not_found", answer
        counted(alice)
    assert SharedItem.objects.filter(workspace=alice.workspace, key="k3").exists()


def test_parallel_writers_at_the_edge_fill_the_space_exactly(call: Surface, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace()
    change_plan(workspace, data_bytes=50)
    begun = [call.start(workspace, SHARE, key=f"k{number}", content="x" * 10, sender="s") for number in range(12)]
    refused = [answer for each in begun if isinstance(answer := each.result(60), Refusal)]
    assert [answer.code for answer in refused] == ["limit_reached"] * 7
    assert counted(workspace) == 50


def test_a_reader_beside_writers_sees_one_text_or_the_other_whole(call: Surface, alice: Caller) -> None:
    texts = {letter * 20_000 for letter in "abcd"}
    call.ok(alice, SHARE, key="k", content="a" * 20_000, sender="s")
    begun = [call.start(alice, SHARE, key="k", content=text, sender=text[0]) for text in sorted(texts) * 3]
    reads = [call.start(alice, "get_shared_data", key="k") for _ in range(12)]
    for read in reads:
        got = read.result(60)
        assert isinstance(got, Result), got
        assert plain(got)["content"] in texts
        assert got["size_bytes"] == 20_000
    for each in begun:
        assert isinstance(each.result(60), Result)
    item = SharedItem.objects.get(workspace=alice.workspace)
    assert item.content == item.created_by * 20_000
