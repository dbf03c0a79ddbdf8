from __future__ import annotations

from typing import Any

import pytest

from bus.models import Cursor
from bus.services import search
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.messages import TIME, contents, data_of, ids, seed, stored
from tests.support.surfaces import Surface

SEARCH = "search_messages"


def test_messages_with_the_word_are_answered_in_their_whole_shape(call: Surface, alice: Caller) -> None:
    seed(alice, ["nothing here"])
    call.ok(alice, "send_message", sender="ann", content="the apple pie", message_type="request", channel="c")
    answer = call.ok(alice, SEARCH, query="apple")
    data = data_of(answer)
    assert TIME.fullmatch(data["messages"][0].pop("created_at"))
    assert data == {
        "messages": [
            {
                "id": 2,
                "channel": "c",
                "sender": "ann",
                "content": "the apple pie",
                "message_type": "request",
                "in_reply_to": None,
                "reply_count": 0,
                "verified": False,
                "sender_kind": "agent",
            }
        ]
    }


def test_nothing_found_is_an_empty_answer(call: Surface, alice: Caller) -> None:
    seed(alice, ["something"])
    assert call.ok(alice, SEARCH, query="absent").data == {"messages": []}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("deploy", {1, 2, 3}),
        ("DEPLOY", {1, 2, 3}),
        ("deploy staging", {2, 3}),
        ("staging deploy", {2, 3}),
        ("  deploy   staging ", {2, 3}),
        ("deploy unheard", set()),
    ],
)
def test_words_are_found_in_any_case_and_order(call: Surface, alice: Caller, query: str, found: set[int]) -> None:
    seed(alice, ["deploy the api", "Deploy to staging", "staging: deploy again", "something else"])
    assert set(ids(call.ok(alice, SEARCH, query=query))) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("POL-3", {1}),
        ("don't", {2}),
        ('"quoted"', {3}),
        ("100%", {4}),
        ("a_b", {5}),
        ("c:\\temp", {6}),
        ("日本", {7}),
        ("\U0001f600", {8}),
        ("<tag>", {9}),
    ],
)
def test_signs_are_taken_as_they_are(call: Surface, alice: Caller, query: str, found: set[int]) -> None:
    texts = ["see POL-3 first", "don't do it", 'so "quoted" was', "100% sure", "the a_b name", "in c:\\temp now"]
    seed(
        alice,
        [*texts, "これは日本語です", "fine \U0001f600 day", "a <tag> there", "POL 33 dont quoted 100 axb c temp tag"],
    )
    assert set(ids(call.ok(alice, SEARCH, query=query))) == found


@pytest.mark.parametrize(
    "query",
    [
        "'",
        '"',
        "''",
        '"""',
        "(",
        ")",
        "a AND",
        "OR",
        "NOT x",
        "NEAR(",
        "a*",
        "-x",
        ":",
        "&|!",
        "<->",
        "\\",
        "%",
        "_",
        "\t",
        "😀",
        "the and of",
        "word*",
        "-word",
        '"unbalanced',
        '"unbalanced plain',
        "content:plain",
        "content : plain words",
        "plain AND words",
        "plain OR NOT words",
        "plain NEAR(words, 3)",
        "^plain + words",
        "'plain':* & words",
        "plain:A",
        "{content} : plain",
        "plain words\\",
        "plain%s %(x)s",
        "x" * 500,
        "ab " * 166,
        "abc " * 125,
    ],
)
def test_no_text_is_syntax_that_can_fail(call: Surface, alice: Caller, query: str) -> None:
    seed(alice, ["plain words"])
    assert isinstance(call.ok(alice, SEARCH, query=query)["messages"], list)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"channel": "c"}, {2, 3}),
        ({"channel": " #C! "}, {2, 3}),
        ({"channel": "nowhere"}, set()),
        ({"sender": "ann"}, {1, 2}),
        ({"sender": "nobody"}, set()),
        ({"message_type": "request"}, {3}),
        ({"channel": "c", "sender": "ann"}, {2}),
        ({"channel": "c", "sender": "bo", "message_type": "request"}, {3}),
        ({"channel": "c", "sender": "ann", "message_type": "request"}, set()),
        ({"channel": None, "sender": None, "message_type": None, "limit": None}, {1, 2, 3}),
    ],
    ids=str,
)
@pytest.mark.parametrize("query", ["needle", "é!"])
def test_filters_narrow(call: Surface, alice: Caller, filters: dict[str, Any], found: set[int], query: str) -> None:
    seed(alice, ["needle one é!"], sender="ann")
    seed(alice, ["needle two é!"], sender="ann", channel="c")
    call.ok(alice, "send_message", sender="bo", content="needle three É!", channel="c", message_type="request")
    assert set(ids(call.ok(alice, SEARCH, query=query, **filters))) == found


def test_ten_are_given_unless_asked_and_the_limit_is_brought_into_its_range(call: Surface, alice: Caller) -> None:
    seed(alice, ["needle"] * 102)
    assert len(call.ok(alice, SEARCH, query="needle")["messages"]) == 10
    for asked, given in [(0, 1), (-1, 1), (3.0, 3), (100, 100), (101, 100), (10**30, 100)]:
        assert len(call.ok(alice, SEARCH, query="needle", limit=asked)["messages"]) == given, asked


def test_an_answer_is_bounded_in_bytes(call: Surface, alice: Caller) -> None:
    seed(alice, ["needle " + "x" * 25_000] * 3)
    assert len(call.ok(alice, SEARCH, query="needle")["messages"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": None},
        {"query": "x" * 501},
        {"query": "a\0b"},
        {"limit": "all"},
        {"limit": 1.5},
        {"limit": True},
        {"channel": "!!!"},
        {"sender": "x" * 81},
        {"sender": "a\0b"},
        {"message_type": "shout"},
        {"after_id": 3},
        {"since": "yesterday"},
        {"since": "2026-01-31"},
        {"since": "2026-01-31T12:00:00"},
        {"since": "2026-02-30T12:00:00Z"},
        {"since": "2026-01-31T12:00:00+25:00"},
        {"since": "1769860800"},
        {"until": "12:00Z"},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-01-31T23:59:59Z"},
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(call: Surface, alice: Caller, wrong: dict[str, Any]) -> None:
    refusal = call.refused(alice, SEARCH, "invalid_input", **{"query": "x"} | wrong)
    named = next(iter(wrong))
    assert ("q" if named == "query" and not call.is_mcp else named) in refusal.message
    assert refusal.status in (400, None)


def test_any_key_may_search_all_names_and_searching_leaves_nothing(call: Surface, alice: Caller) -> None:
    worker = alice.with_key("worker")
    call.ok(worker, "send_message", content="needle of mine")
    seed(alice, ["needle of theirs"], sender="ann")
    before = stored(alice)
    for caller in (alice, worker, alice.with_key(read_only=True)):
        assert set(ids(call.ok(caller, SEARCH, query="needle"))) == {1, 2}
        assert ids(call.ok(caller, SEARCH, query="needle", sender="worker")) == [1]
    assert stored(alice) == before
    assert not Cursor.objects.filter(workspace=alice.workspace).exists()


def test_another_workspaces_messages_are_not_found(call: Surface, alice: Caller, mallory: Caller) -> None:
    seed(alice, ["needle"], channel="secret")
    for given in ({}, {"channel": "secret"}, {"sender": "writer"}):
        assert call.ok(mallory, SEARCH, query="needle", **given).data == {"messages": []}


def test_what_has_expired_is_not_found(call: Surface, alice: Caller, clock: Clock) -> None:
    seed(alice, ["needle one"])
    clock.forward(days=50)
    seed(alice, ["needle two"])
    assert set(ids(call.ok(alice, SEARCH, query="needle"))) == {1, 2}
    clock.forward(days=41)
    assert contents(call.ok(alice, SEARCH, query="needle")) == ["needle two"]
    clock.forward(days=50)
    assert call.ok(alice, SEARCH, query="needle").data == {"messages": []}


def test_a_literal_search_says_how_far_back_it_looked(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SEARCHED_MOST", 3)
    seed(alice, ["日本"] * 2)
    assert "searched_back_to" not in call.ok(alice, SEARCH, query="日本")
    seed(alice, ["日本"] * 3)
    answer = call.ok(alice, SEARCH, query="日本")
    assert (set(ids(answer)), answer["searched_back_to"]) == ({3, 4, 5}, 3)
