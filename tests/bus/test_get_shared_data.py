from __future__ import annotations

import pytest

from accounts import principals
from accounts.models import Workspace
from crosswire.lib import clock as product_clock
from tests.conftest import Clock
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.messages import TIME, plain
from tests.support.surfaces import MCP, REST, Surface

GET = "get_shared_data"
PART_BYTES = 60_000


def share(call: Surface, caller: Caller, content: str, key: str = "k") -> None:
    call.ok(caller, "share_data", key=key, content=content, sender="ann", description="about")


def test_an_item_is_told_with_the_keys_of_the_contract(call: Surface, alice: Caller) -> None:
    share(call, alice, "hello")
    got = call.ok(alice, GET, key="k")
    data = {name: value for name, value in plain(got).items() if name not in ("notice", "next")}
    assert TIME.fullmatch(data.pop("created_at"))
    assert TIME.fullmatch(data.pop("expires_at"))
    assert data == {
        "key": "k",
        "content": "hello",
        "created_by": "ann",
        "description": "about",
        "size_bytes": 5,
        "offset": 0,
        "next_offset": None,
    }
    if got.text is not None:
        assert next(iter(got)) == "notice"
        assert '"k": 5 bytes, shared by "ann"' in got.text
        assert "[[peer" in got["content"], "it is another agent's text"


def test_an_absent_item_and_somebody_elses_are_told_alike(call: Surface, alice: Caller, mallory: Caller) -> None:
    share(call, alice, "hers", "plans")
    foreign = call.refused(mallory, GET, "not_found", key="plans")
    absent = call.refused(alice, GET, "not_found", key="none")
    assert foreign.message == 'No shared data found for key "plans".'
    assert absent.message == 'No shared data found for key "none".'
    assert foreign.status == absent.status == (None if call.is_mcp else 404)
    assert foreign.details == absent.details == {}


def test_keys_are_found_exactly_as_they_were_given(call: Surface, alice: Caller) -> None:
    keys = ["a/b/c.md", "a%2Fb", "/lead", "trail/", "a//b", "../up", "50%25?x=1#y", "日本", "a b", "+", "a&b=c;d", "%"]
    for key in keys:
        share(call, alice, f"text of {key}", key)
    for key in keys:
        got = call.ok(alice, GET, key=key)
        assert (got["key"], plain(got)["content"]) == (key, f"text of {key}")
    call.refused(alice, GET, "not_found", key="A/b/c.md")
    call.refused(alice, GET, "not_found", key="a/b")


@pytest.mark.parametrize("call", REST, indirect=True)
def test_slashes_of_a_key_may_stand_plain_in_the_address(call: Surface, alice: Caller) -> None:
    share(call, alice, "x", "a/b c/d.md")
    for path in ("a/b%20c/d.md", "a%2Fb%20c%2fd.md"):
        response = loopback.get(f"{call.url}/api/data/{path}", headers=alice.headers)
        assert response.json()["key"] == "a/b c/d.md"


def test_an_expired_item_is_gone_at_once(call: Surface, alice: Caller, clock: Clock) -> None:
    share(call, alice, "old")
    expires_at = call.ok(alice, GET, key="k")["expires_at"]
    clock.forward(days=89, hours=23)
    assert product_clock.iso(clock.now()) < expires_at
    call.ok(alice, GET, key="k")
    clock.forward(hours=2)
    assert product_clock.iso(clock.now()) > expires_at
    call.refused(alice, GET, "not_found", key="k")
    assert call.ok(alice, "list_shared_data")["items"] == []
    call.refused(alice, "delete_shared_data", "not_found", key="k")


def test_without_a_retention_it_never_expires(call: Surface, alice: Caller, clock: Clock) -> None:
    Workspace.objects.filter(pk=alice.workspace.pk).update(plan="unlimited")
    principals._forget({"workspace": alice.workspace.pk})
    share(call, alice, "for good")
    clock.forward(days=4000)
    assert call.ok(alice, GET, key="k")["expires_at"] is None


# --- parts ------------------------------------------------------------------------------------------------------


def test_any_part_can_be_had_by_offset_and_length_in_characters(call: Surface, alice: Caller) -> None:
    share(call, alice, "aä日🚀b")
    table: list[tuple[dict[str, int], str, int, int | None]] = [
        ({"offset": 0, "length": 2}, "aä", 0, 2),
        ({"offset": 2, "length": 2}, "日🚀", 2, 4),
        ({"offset": 4, "length": 5}, "b", 4, None),
        ({"offset": 3}, "🚀b", 3, None),
        ({"offset": 5}, "", 5, None),
        ({"offset": 99}, "", 5, None),
        ({"offset": -3, "length": 1}, "a", 0, 1),
        ({"length": 0}, "a", 0, 1),
        ({"length": 5}, "aä日🚀b", 0, None),
    ]
    for arguments, content, offset, next_offset in table:
        got = plain(call.ok(alice, GET, key="k", **arguments))
        assert (got["content"], got["offset"], got["next_offset"]) == (content, offset, next_offset), arguments
        assert got["size_bytes"] == 11


@pytest.mark.parametrize("wrong", [{"offset": "x"}, {"length": True}, {"offset": 1.5}])
def test_what_is_no_whole_number_is_refused(call: Surface, alice: Caller, wrong: dict[str, object]) -> None:
    share(call, alice, "x")
    call.refused(alice, GET, "invalid_input", key="k", **wrong)


@pytest.mark.parametrize("call", REST, indirect=True)
def test_rest_gives_the_whole_unless_asked_for_a_part(call: Surface, alice: Caller) -> None:
    text = "日" * 100_000
    share(call, alice, text)
    got = call.ok(alice, GET, key="k")
    assert got["content"] == text
    assert got["next_offset"] is None
    part = call.ok(alice, GET, key="k", length=90_000)
    assert (len(part["content"]), part["next_offset"]) == (90_000, 90_000)


@pytest.mark.parametrize("call", MCP, indirect=True)
@pytest.mark.parametrize(
    "text",
    [
        "x" * PART_BYTES,
        "x" * (PART_BYTES + 1),
        "x" + "ä" * PART_BYTES,
        "日本" * PART_BYTES,
        "xx🚀" * 40_000,
        "a" * 59_999 + "🚀" + "b" * 10,
    ],
    ids=["as much as fits", "one more", "odd and even", "three bytes", "four bytes", "across the edge"],
)
def test_a_model_gets_parts_of_at_most_60000_bytes_and_no_character_is_split(
    call: Surface, alice: Caller, text: str
) -> None:
    share(call, alice, text)
    parts: list[str] = []
    offset: int | None = 0
    while offset is not None:
        got = call.ok(alice, GET, key="k", **({"offset": offset} if offset else {}))
        part = plain(got)["content"]
        assert 0 < len(part.encode()) <= PART_BYTES
        assert got["offset"] == offset
        offset = got["next_offset"]
        if offset is not None:
            assert len(part.encode()) > PART_BYTES - 4, "as much as fits"
            assert f"offset={offset}" in str(got.text)
        parts.append(part)
    assert "".join(parts) == text


@pytest.mark.parametrize("call", MCP, indirect=True)
def test_a_model_may_ask_for_less_and_not_for_more(call: Surface, alice: Caller) -> None:
    share(call, alice, "x" * 100_000)
    assert len(plain(call.ok(alice, GET, key="k", length=10))["content"]) == 10
    more = plain(call.ok(alice, GET, key="k", length=100_000))
    assert (len(more["content"]), more["next_offset"]) == (PART_BYTES, PART_BYTES)


def test_a_read_only_key_may_read(call: Surface, alice: Caller) -> None:
    share(call, alice, "x")
    assert plain(call.ok(alice.with_key(read_only=True), GET, key="k"))["content"] == "x"
