"""Messages as HTML: readable, harmless, and in bounded time."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import markup
from tests.support.hostile import HOSTILE, MARKDOWN, Looked

TAGS = markup._TAGS
ATTRIBUTES = {"href", "title", "rel", "class", "tabindex", "start"}
SECONDS = 1.0
"""For what takes 50 ms on a machine with nothing else to do."""


def assert_harmless(html: str) -> None:
    looked = Looked(html)
    assert looked.tags <= TAGS
    for name, value in looked.attributes:
        assert name in ATTRIBUTES
        if name == "href":
            assert urlsplit(value).scheme.lower() in {"http", "https", "mailto"}, value


@pytest.mark.parametrize("text", [*HOSTILE, *MARKDOWN])
def test_hostile_text_does_nothing(text: str) -> None:
    assert_harmless(markup.render(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_written_is_what_is_read(text: str) -> None:
    shown = " ".join(Looked(markup.render(text)).text.split())
    assert shown == text or "&" in text


@given(st.text(alphabet="ab <>[]()!*_`~#|\\&\"'\n:/=-.1htps", max_size=80))
def test_no_text_makes_anything_but_what_is_allowed(text: str) -> None:
    assert_harmless(markup.render(text))


def test_markdown_reads_as_markdown() -> None:
    html = markup.render("**b** `c` ~~s~~\nnext\n\n- a\n- b\n\n> q\n\n| x |\n|---|\n| y |")
    for part in (
        "<strong>b</strong>",
        "<code>c</code>",
        "<s>s</s>",
        "<br>",
        "<li>a</li>",
        "<blockquote>",
        "<td>y</td>",
    ):
        assert part in html
    assert "<h1" not in markup.render("# a heading")


def test_code_is_coloured_and_an_unknown_language_is_left_alone() -> None:
    assert '<span class="k">def</span>' in markup.render("```python\ndef f(): pass\n```")
    assert "<span" not in markup.render("```no-such-language\ndef f(): pass\n```")


def test_links_tell_nobody_where_they_were_found_and_images_are_links() -> None:
    html = markup.render("[x](https://a.example/) https://b.example/c. ![i](https://d.example/e.png)")
    assert html.count('rel="nofollow noopener noreferrer"') == 3
    assert '<a href="https://b.example/c"' in html
    assert "<img" not in html


@pytest.mark.parametrize(
    "text",
    [">" * 50 + " deep", "\n".join("  " * depth + "- x" for depth in range(40)), "\t\n \n", "[" * 700, "x\n" * 2_000],
)
def test_what_would_be_lost_or_cost_too_much_is_shown_as_it_is(text: str) -> None:
    assert Looked(markup.render(text)).text == text


UNITS = [
    *("> ", "- ", "*", "_a ", "[", "![a](", "`", "<", "|a", "word ", "a\n", "*a **b ", "\\", "&amp;", "\t", "~~a"),
    *("[a](http://x.y/) ", "```py\nx=1\n```\n", "http://a.b/c ", "# a\n", "1. a\n", "|1|2|3|\n", "<a@b.c>", "[a]: b\n"),
]


@pytest.mark.parametrize("length", [1_500, 10_000, 20_000, 64_000])
@pytest.mark.parametrize("unit", UNITS)
def test_no_repetition_takes_long(unit: str, length: int) -> None:
    text = (unit * length)[:length]
    began = time.thread_time()
    markup._render(text)
    assert time.thread_time() - began < SECONDS


@pytest.mark.parametrize("language", [*sorted(markup.LANGUAGES), "make", "nix", "csharp", "amdgpu", "terraform"])
def test_no_code_takes_long_to_colour(language: str) -> None:
    for unit in ("0", "a.", '"\\', "-", " ", "(", "a ", "&"):
        for length in (markup.HIGHLIGHT_MOST - 1, 8_000):
            text = f"```{language}\n{(unit * length)[:length]}\n```"
            began = time.thread_time()
            markup._render(text)
            assert time.thread_time() - began < SECONDS


def test_more_code_than_is_coloured_is_shown_without_colours() -> None:
    block = f"```python\n{'x = 1  # ' * 250}\n```\n"
    assert "<span" in markup.render(block)
    assert "<span" not in markup.render(block * 2)


def test_a_huge_table_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = "|" + "a|" * 1_000 + "\n|" + "-|" * 1_000 + "\n" + ("|" + "b|" * 1_000 + "\n") * 28
    began = time.thread_time()
    assert_harmless(markup._render(wide[:64_000]))
    assert time.thread_time() - began < SECONDS


def test_an_excerpt_is_one_short_line() -> None:
    assert markup.excerpt("## **Plan**\n\n> `a`\n```python\nx = 1\n```", 100) == "Plan a x = 1"
    assert markup.excerpt("word " * 100, 20) == "word word word word…"
    assert len(markup.excerpt("x" * 64_000, 120)) == 120
