from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.lib import words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("a bc def", ["def"]),
        ("The quick QUICK fox", ["the", "quick", "fox"]),
        ("été ÉTÉ e\u0301te\u0301", ["ete"]),
        ("Straße STRASSE", ["strasse"]),
        ("İstanbul", ["istanbul"]),
        ("\uff21\uff22\uff23 \u2167", ["abc", "viii"]),
        ("foo_bar bus/search.py v1.2.3", ["foo", "bar", "bus", "search"]),
        ("sendMessage HTTPServer", ["sendmessage", "httpserver", "send", "message", "http", "server"]),
        ("日本語text 한국어 ไทยแลนด์", ["text"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("404 2026", ["404", "2026"]),
        ("x" * 100, ["x" * 64]),
    ],
)
def test_the_words_of_a_text(text: str, found: list[str]) -> None:
    assert words.of_text(text) == found


@pytest.mark.parametrize(
    ("query", "wanted", "literals"),
    [
        ("Deploy", ["deploy"], []),
        ("deploy, please?", ["deploy", "please"], []),
        ("send_message", ["send", "message"], []),
        ("my_var", ["var"], ["my_var"]),
        ("deploy -staging (now)", ["deploy", "staging", "now"], []),
        ('error "connection reset"', ["error", "connection", "reset"], []),
        ("deploy POL-3 & 日本", ["deploy"], ["pol-3", "日本"]),
        ("go to staging", ["staging"], ["go", "to"]),
        ("POL-3", [], ["pol-3"]),
        ("don't it's", [], ["don't", "it's"]),
        ('"quoted text"', [], ['"quoted', 'text"']),
        ("100%", [], ["100%"]),
        ("日本語", [], ["日本語"]),
        ("ab CD", [], ["ab", "cd"]),
        (" ", [], [" "]),
    ],
)
def test_what_a_query_looks_for(query: str, wanted: list[str], literals: list[str]) -> None:
    assert words.of_query(query) == (tuple(wanted), tuple(literals))


@given(st.text(max_size=200))
def test_any_text_has_words_that_both_databases_take_as_they_are(text: str) -> None:
    for word in words.of_text(text):
        assert words.LEAST <= len(word) <= words.LONGEST
        assert not any(char.isspace() or char in "'\"\\:*&|!()_" for char in word)
        assert word == words.folded(word)


@given(st.text(min_size=1, max_size=200))
def test_any_text_is_a_query_and_finds_itself(text: str) -> None:
    query = words.of_query(text)
    assert query.words or query.literals
    indexed = words.of_text(text)
    assert all(any(each.startswith(word) for each in indexed) for word in query.words)
    assert all(each in words.literal(text) for each in query.literals)


def test_a_letter_under_thousands_of_marks_costs_no_more_than_one_under_a_few() -> None:
    """To normalise puts marks in order at a quadratic cost: a text of 64,000 held the process up for seconds."""
    marks = "\u0315\u0300" * 31_999
    assert len(words.literal("a" + marks)) < 20
    assert words.folded("abc" + marks) == "abc"
    assert words.of_text("Cafe\u0301 abc" + marks) == ["cafe", "abc"]
