from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from bus.models import SharedItem
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import TIME
from tests.support.statements import Statements
from tests.support.surfaces import Surface

LIST = "list_shared_data"


def share(call: Surface, caller: Caller, key: str, content: str = "x") -> None:
    call.ok(caller, "share_data", key=key, content=content, sender="ann", description="about")


def keys(call: Surface, caller: Caller) -> list[str]:
    return [each["key"] for each in call.ok(caller, LIST)["items"]]


def test_each_item_is_told_without_its_content(call: Surface, alice: Caller) -> None:
    share(call, alice, "a/b", "ääää")
    answer = call.ok(alice, LIST)
    assert set(answer) == {"items"}
    (item,) = answer["items"]
    assert TIME.fullmatch(item.pop("created_at"))
    assert TIME.fullmatch(item.pop("expires_at"))
    assert item == {"key": "a/b", "created_by": "ann", "description": "about", "size_bytes": 8}
    if answer.text is not None:
        assert '1 shared item.\n"a/b": 8 bytes by "ann"' in answer.text
    assert "ääää" not in str(answer.raw)


def test_nothing_is_an_empty_list(call: Surface, alice: Caller) -> None:
    assert call.ok(alice, LIST).data == {"items": []}


def test_the_one_shared_last_comes_first(call: Surface, alice: Caller, clock: Clock) -> None:
    for key in ("a", "b", "c", "a"):
        clock.forward(seconds=1)
        share(call, alice, key)
    assert keys(call, alice) == ["a", "c", "b"]


def test_what_has_expired_is_not_listed(call: Surface, alice: Caller, clock: Clock) -> None:
    share(call, alice, "old")
    clock.forward(days=60)
    share(call, alice, "new")
    clock.forward(days=31)
    assert keys(call, alice) == ["new"]
    assert SharedItem.objects.filter(workspace=alice.workspace).count() == 2, "read-time first"


def test_strangers_items_are_not_listed(call: Surface, alice: Caller, mallory: Caller) -> None:
    share(call, alice, "hers")
    assert keys(call, mallory) == []


def test_a_read_only_key_may_list(call: Surface, alice: Caller) -> None:
    share(call, alice, "k")
    assert keys(call, alice.with_key(read_only=True)) == ["k"]


def test_the_list_neither_reads_content_nor_counts_nor_grows_in_statements(
    call: Surface, alice: Caller, statements: Callable[..., AbstractContextManager[Statements]]
) -> None:
    share(call, alice, "k")
    keys(call, alice)
    with statements() as few:
        keys(call, alice)
    SharedItem.objects.bulk_create(
        SharedItem(workspace=alice.workspace, key=f"k{number}", content="x", created_by="a", size_bytes=1)
        for number in range(1001)
    )
    with statements() as many:
        answer = call.ok(alice, LIST)
    assert len(many) == len(few), str(many)
    assert len(answer["items"]) == 1000
    assert answer["has_more"] is True
    for sql in many.queries:
        assert '"bus_shareditem"."content"' not in sql
        assert "count(" not in sql.lower()
