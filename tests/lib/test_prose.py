"""Text that somebody wrote, in a Markdown file: a renderer that lets HTML pass finds none in it."""

from __future__ import annotations

import random

import pytest
from markdown_it import MarkdownIt

from crosswire.lib import prose
from tests.support.hostile import HOSTILE, MARKDOWN

PIECES = ["<b>", "</b>", "<!-- x -->", "<script>\n", "`", "``", "```", "~~~", "\n", "\n\n", "\\", "|", "- ", "> ", "  "]
PIECES += [
    "    ",
    "\t",
    "1. ",
    "word",
    "\u00a0",
    "| a | b |\n|---|---|\n",
    "[a](",
    ")",
    "<http://a.b>",
    "# ",
    "\n```\n",
]


def html_in(text: str) -> list[str]:
    found = []
    for name in ("commonmark", "gfm-like"):
        renderer = MarkdownIt(name, {"html": True, "linkify": False})
        for token in renderer.parse(text):
            found += [each.content for each in (token, *(token.children or ())) if each.type.startswith("html")]
    return found


@pytest.mark.parametrize("text", [*HOSTILE, *MARKDOWN])
def test_hostile_text_holds_no_html(text: str) -> None:
    assert html_in(f"# {prose.escaped(text)}\n\n{prose.quoted(text)}\n") == []


def test_whatever_is_put_together_holds_no_html_and_stays_in_its_quote() -> None:
    chosen = random.Random(6)  # noqa: S311 - any will do
    for _ in range(3_000):
        text = "".join(chosen.choices(PIECES, k=chosen.randint(1, 14)))
        quoted = prose.quoted(text)
        assert html_in(quoted) == [], repr(text)
        assert all(line.startswith(">") for line in quoted.split("\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ">"),
        ("a < b, <3 **c**\n\nd", "> a < b, <3 **c**\n>\n> d"),
        ("`Vec<u8>` <i>", "> `Vec<u8>` \\<i>"),
        ("```html\n<i>\n```\n<i>", "> ```html\n> <i>\n> ```\n> \\<i>"),
        ("\\<i>", "> \\<i>"),
        ("\\\\<i>", "> \\\\\\<i>"),
        ("a ` b\n`<i>`", "> a ` b\n> `\\<i>`"),
    ],
)
def test_code_stays_as_it_is_and_what_is_doubtful_is_text(text: str, told: str) -> None:
    assert prose.quoted(text) == told


def test_a_long_text_takes_no_time() -> None:
    for piece in ("`", "` ", "<", "<b", "\\", "`` ` ", "```\n", "- "):
        prose.quoted((piece * 64_000)[:64_000] + "<b>")
