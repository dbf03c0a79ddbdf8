"""What a search by words finds and in which order; the expectations are the same on every database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import fulltext
from bus.hot import fetch
from bus.services import search
from crosswire.lib import words
from crosswire.lib.clock import iso
from tests.conftest import Clock
from tests.support.cast import Caller, make_workspace
from tests.support.messages import ids, principal_of, seed
from tests.support.surfaces import Surface

SEARCH = "search_messages"

TEXTS = [
    "deploy the API to staging",  # 1
    "Deployment of the api failed: see bus/search.py",
    "redeploy",
    "L'ÉCOLE est fermée",
    "ecole sans accent",  # 5
    "Die STRASSE nach İstanbul",
    "straße",
    "please call sendMessage with POL-3",
    "please call send_message with POL 3",
    "wait_for_reply timed out after 404",  # 10
    "これは日本語の文章です",
    "한국어 문장",
    "100% of `a_b` isn't \\ done ;)",
    "content: NEAR the AND of OR",
    "हिन्दी भाषा में लिखा",  # 15
    "rocket 🚀 launched",
    "ends with a very" + "long" * 30,
    "Ωmega και ὈΔΥΣΣΕΎΣ",
]

FOUND: list[tuple[str, set[int]]] = [
    ("deploy", {1, 2}),
    ("deployment", {2}),
    ("DEPLOY api", {1, 2}),
    ("api deploy staging", {1}),
    ("deploy unheard", set()),
    ("search", {2}),
    ("école", {4, 5}),
    ("ECOLE", {4, 5}),
    ("e\u0301cole", {4, 5}),
    ("strasse", {6, 7}),
    ("STRAẞE", {6, 7}),
    ("istanbul", {6}),
    ("İSTANBUL", {6}),
    ("sendmessage", {8}),
    ("sendMessage", {8}),
    ("message", {8, 9}),
    ("send_message", {8, 9}),
    ("wait_for_reply", {10}),
    ("404", {10}),
    ("40", {10}),
    ("POL-3", {8}),
    ("pol-3", {8}),
    ("please POL-3", {8}),
    ("please, POL 3", {8, 9}),
    ("日本語", {11}),
    ("本語の文", {11}),
    ("日本人", set()),
    ("한국", {12}),
    ("100%", {13}),
    ("a_b", {13}),
    ("isn't", {13}),
    ("\\", {13}),
    ("%", {13}),
    ("_", {9, 10, 13}),
    (";)", {13}),
    ("NEAR AND", {14}),
    ("the", {1, 2, 14}),
    ("of", {2, 13, 14}),
    ("content: near", {14}),
    ("-staging", set()),
    ("deploy -staging", {1}),
    ('"deploy the"', {1, 2}),
    ("भाषा", {15}),
    ("🚀", {16}),
    ("launch 🚀", {16}),
    ("very" + "long" * 30, {17}),
    ("very" + "long" * 31, set()),
    ("ωμεγα", set()),
    ("ωmega", {18}),
    ("οδυσσευς", {18}),
]


@pytest.fixture(scope="module")
def library() -> Caller:
    caller = make_workspace(name="library")
    seed(caller, TEXTS)
    return caller


@pytest.mark.parametrize(("query", "found"), FOUND, ids=[query for query, _ in FOUND])
def test_a_query_finds(library: Caller, query: str, found: set[int]) -> None:
    assert set(ids(search.search(principal_of(library), query=query, limit=100))) == found


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_query_and_what_is_found_literally_is_there(library: Caller, query: str) -> None:
    wanted = words.of_query(query)
    answer = search.search(principal_of(library), query=query, limit=100)
    for message in answer["messages"]:
        text = words.literal(message["content"])
        bare = words.of_query(words.without_wrappers(query) or query)
        assert all(each in text for each in wanted.literals) or all(each in text for each in bare.literals)
        indexed = words.of_text(message["content"])
        assert all(any(each.startswith(word) for each in indexed) for word in wanted.words)


@pytest.mark.parametrize(
    ("texts", "query", "order"),
    [
        (["the cat", "the cat"], "cat", [2, 1]),
        (["cat " * 3, "a cat and much about other things"], "cat", [1, 2]),
        (["a cat", "a cat " + "and other things " * 40], "cat", [1, 2]),
        (["a cat sits", "the catalogue"], "cat", [1, 2]),
        (["deploy to staging", "staging, then deploy", "deploy staging"], "deploy staging", [3, 1, 2]),
        (["红 apple", "红 apple apple", "apple"], "apple 红", [2, 1]),
    ],
)
def test_the_best_match_comes_first(alice: Caller, texts: list[str], query: str, order: list[int]) -> None:
    seed(alice, texts)
    assert ids(search.search(principal_of(alice), query=query)) == order


def test_the_newest_thousand_hits_are_ranked_and_the_answer_says_so(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fulltext, "HITS_MOST", 3)
    seed(alice, ["needle needle needle", "needle", "needle", "needle and more", "hay"])
    answer = search.search(principal_of(alice), query="needle")
    assert (ids(answer), answer["searched_back_to"]) == ([3, 2, 4], 2)
    assert "searched_back_to" not in search.search(principal_of(alice), query="needle", since=None, sender="nobody")
    monkeypatch.setattr(fulltext, "HITS_MOST", 4)
    answer = search.search(principal_of(alice), query="needle")
    assert (ids(answer)[0], "searched_back_to" in answer) == (1, False)


def test_an_old_rare_word_is_found_however_much_came_after(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fulltext, "LOOKED_FIRST", 2)
    monkeypatch.setattr(search, "SEARCHED_MOST", 2)
    seed(alice, ["needle", *["hay"] * 5])
    answer = search.search(principal_of(alice), query="needle")
    assert (ids(answer), "searched_back_to" in answer) == ([1], False)
    answer = search.search(principal_of(alice), query="needle é!")
    assert ids(answer) == []


def test_a_search_reads_a_bounded_amount(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "READ_MOST", 25)
    monkeypatch.setattr(search, "READ_AT_ONCE", 1)
    seed(alice, ["日 needle 0123456789"] * 4)
    for query in ("日", "needle 日"):
        answer = search.search(principal_of(alice), query=query)
        assert (ids(answer), answer["searched_back_to"]) == ([4, 3], 3)


@pytest.mark.parametrize("query", ["needle", "é!"])
def test_times_narrow_and_both_ends_belong_to_it(call: Surface, alice: Caller, clock: Clock, query: str) -> None:
    stored = []
    for _ in range(3):
        number = seed(alice, ["needle é!"])[0]
        found = call.ok(alice, SEARCH, query="needle")["messages"]
        stored.append(next(each["created_at"] for each in found if each["id"] == number))
        clock.forward(hours=1)
    first, second, third = stored
    after = iso(clock.now() + timedelta(hours=1))

    def asked(**given: Any) -> set[int]:
        return set(ids(call.ok(alice, SEARCH, query=query, **given)))

    assert asked(since=second) == {2, 3}
    assert asked(until=second) == {1, 2}
    assert asked(since=second, until=second) == {2}
    assert asked(since=second.replace("Z", "+00:00"), until=third.replace("Z", "-00:00")) == {2, 3}
    assert asked(since=first.replace("Z", "+02:00")) == {1, 2, 3}
    assert asked(since=after) == asked(until="2001-01-01T00:00:00Z") == set()
    assert asked(until="9999-12-31T23:59:59.999999Z") == {1, 2, 3}
    assert asked(since="0001-01-01t00:00:00z") == {1, 2, 3}


def test_a_search_that_takes_too_long_is_refused_and_leaves_the_connection_usable(
    call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(alice, ["needle"])
    with monkeypatch.context() as patched:
        patched.setattr(fulltext, "hits", _endless)
        patched.setattr(fulltext, "SECONDS_MOST", 0.05)
        refusal = call.refused(alice, SEARCH, "unavailable", query="needle")
        assert "took too long" in refusal.message
    assert ids(call.ok(alice, SEARCH, query="needle")) == [1]


def _endless(*_: Any) -> list[int]:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    return [row[0] for row in fetch(numbers, [])]


@pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)
def test_a_model_is_told_how_far_back_was_looked(call: Surface, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SEARCHED_MOST", 2)
    seed(alice, ["日本"] * 3)
    for query, count in (("日本", "2 message(s) found."), ("本日", "No messages match")):
        text = call.ok(alice, SEARCH, query=query).text
        assert text is not None
        assert text.startswith(count)
        assert "Searched back to #2" in text
