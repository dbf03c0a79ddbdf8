from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import channel_name, is_one_line, one_line, storable


def refusal(call: object, *arguments: object, **options: object) -> CrossWireError:
    assert callable(call)
    with pytest.raises(CrossWireError) as refused:
        call(*arguments, **options)
    assert refused.value.code == "invalid_input"
    return refused.value


# --- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "plain", "a\nb\tc\r", "\x01\x7f", "日本 🚀", "e\u0301", "\ufeff\uffff"])
def test_any_text_is_storable_as_it_is(text: str) -> None:
    assert storable("content", text) == text


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "\udfff!", "🚀\ud83d"])
def test_nul_and_lone_surrogates_are_not(text: str) -> None:
    assert refusal(storable, "content", text).details == {"field": "content"}


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00")))
def test_whatever_utf8_can_write_is_storable(text: str) -> None:
    assert storable("content", text) == text


# --- one line ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "x" * 10, "a b", "日本", "a\u00a0b", "🚀", "\u0301"])
def test_a_line_is_returned_as_it_is(text: str) -> None:
    assert one_line("name", text, most=10) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 to 10 characters"),
        ("x" * 11, "1 to 10 characters"),
        (" a", "blanks"),
        ("a\n", "blanks"),
        ("\u3000a", "blanks"),
        ("   ", "blanks"),
        ("a\nb", "line breaks"),
        ("a\rb", "line breaks"),
        ("a\x00b", "control"),
        ("a\x1bb", "control"),
        ("a\x85b", "control"),
        ("a\u2028b", "line breaks"),
        ("a\u2029b", "line breaks"),
        ("a\u202eb", "control"),
        ("a\u2066b", "control"),
        ("a\ud800b", "control"),
    ],
)
def test_what_is_no_line_is_refused_and_the_field_named(text: str, why: str) -> None:
    refused = refusal(one_line, "name", text, most=10)
    assert why in refused.message
    assert refused.message.startswith("name ")
    assert refused.details == {"field": "name"}


def test_a_line_may_be_empty_where_that_is_allowed() -> None:
    assert one_line("description", "", most=5, least=0) == ""


@given(st.text(max_size=20))
def test_a_line_never_breaks(text: str) -> None:
    assume(is_one_line(text))
    assert len(text.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", text)


# --- channel names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("general", "general"),
        ("General", "general"),
        ("#general", "general"),
        ("Bug Reports", "bug-reports"),
        ("bug_reports", "bug-reports"),
        ("bug \t\n_ reports", "bug-reports"),
        ("bug--reports", "bug-reports"),
        ("-bug-", "bug"),
        ("_bug_", "bug"),
        ("a-!-b", "a-b"),
        ("a.b/c", "abc"),
        ("Ärger", "rger"),
        ("日本 1", "1"),
        ("0", "0"),
        ("\u212a", "k"),
        ("x" * 80, "x" * 80),
        ("-" * 100 + "x" * 80, "x" * 80),
    ],
)
def test_a_channels_name_has_one_form(given_name: str, name: str) -> None:
    assert channel_name(given_name) == name


@pytest.mark.parametrize("given_name", ["", " ", "-", "_-_", "日本", "...", "x" * 81])
def test_nothing_or_too_much_is_no_channels_name(given_name: str) -> None:
    assert refusal(channel_name, given_name).details == {"field": "channel"}


@given(st.text(max_size=100))
def test_the_form_of_a_form_is_itself(text: str) -> None:
    try:
        name = channel_name(text)
    except CrossWireError:
        return
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert channel_name(name) == name
    assert channel_name(f" #{name.upper()}_") == name
