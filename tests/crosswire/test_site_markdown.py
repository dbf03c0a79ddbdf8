"""Our own texts from Markdown to HTML."""

from __future__ import annotations

import html
import re

import pytest

from crosswire.site import markdown
from crosswire.site.markdown import Heading, render


def test_headings_have_anchors_as_github_makes_them_and_link_to_themselves() -> None:
    rendered = render("# Title\n\n## What `wait_for_reply` does, in short\n\n### Again\n\n## Again\n")
    assert rendered.headings == (
        Heading(2, "what-wait_for_reply-does-in-short", "What wait_for_reply does, in short"),
        Heading(3, "again", "Again"),
        Heading(2, "again-1", "Again"),
    )
    assert '<h2 id="again-1">Again <a class="anchor" href="#again-1" aria-label="Link to “Again”">#</a></h2>' in (
        rendered.html
    )
    assert '<h1 id="title">Title</h1>' in rendered.html


def test_html_in_a_text_is_shown_and_not_taken_as_such() -> None:
    hostile = "# <script>x</script>\n\n<img src=x onerror=alert(1)>\n\n[a](javascript:alert(1))\n\n"
    hostile += '```sh\necho "</code><b>"\n```\n'
    shown = render(hostile).html
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'href="javascript' not in shown
    assert "</code><b>" not in shown


def test_a_row_that_begins_with_a_word_of_code_has_an_anchor_and_cells_know_their_column() -> None:
    shown = render("| code | means |\n|---|---|\n| `bad_host` | Which is a rather long thing |\n| plain | x |\n").html
    assert '<tr role="row" id="bad_host">' in shown
    assert '<td role="cell" data-label="means">x</td>' in shown
    assert shown.count(" id=") == 1
    assert 'class="cards-table"' in shown
    assert 'class="cards-table short"' in render("| a | b |\n|---|---|\n| x | yes |\n").html


def test_code_is_coloured_and_can_be_copied_by_its_number() -> None:
    rendered = render('```json\n{"a": 1}\n```\n\n```text\n<b>\n```\n')
    assert rendered.code == (("json", '{"a": 1}\n'), ("text", "<b>\n"))
    assert re.search('<span class="hl-nt">(&quot;|")a', rendered.html)
    assert 'id="code-2">&lt;b&gt;' in rendered.html
    assert 'data-copy="code-2"' in rendered.html


def test_a_language_nobody_knows_is_a_fault_of_the_text() -> None:
    with pytest.raises(AssertionError, match="klingon"):
        render("```klingon\nx\n```\n")


def test_links_to_files_of_the_repository_become_links_to_pages() -> None:
    shown = render("[a](errors.md) [b](errors.md#x) [c](#here) [d](/docs/)", {"errors.md": "/docs/errors/"}).html
    for target in ("/docs/errors/", "/docs/errors/#x", "#here", "/docs/"):
        assert f'href="{target}"' in shown


@pytest.mark.parametrize("language", [*markdown.LEXERS, *markdown.PLAIN])
def test_every_language_keeps_the_text_as_it_is(language: str) -> None:
    text = "\n  two  blanks & <signs> 'x' \"y\"\n\n"
    box = markdown.code_box(text, language, 1)
    (inside,) = re.findall(r"(?s)<code[^>]*>(.*)</code>", box)
    assert html.unescape(re.sub("<[^>]*>", "", inside)) == text
