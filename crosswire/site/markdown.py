"""Our own texts from Markdown to HTML: headings with anchors, code with its colours and a copy button, tables that
become cards on a phone. HTML inside a text is shown, never taken as such."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

LEXERS = {"sh": "bash", "json": "json", "toml": "toml", "python": "python", "ts": "typescript", "http": "http"}
"""Languages a code block may name, and who colours them. `text` and `markdown` are shown plainly."""
PLAIN = frozenset({"", "text", "markdown"})
_ROLES = {
    "table_open": "table",
    "thead_open": "rowgroup",
    "tbody_open": "rowgroup",
    "tr_open": "row",
    "th_open": "columnheader",
    "td_open": "cell",
}
_SHORT = 16
"""Characters up to which a cell stands beside its column's name on a phone, not below it."""
_FORMATTER = HtmlFormatter(nowrap=True, classprefix="hl-")


@dataclass(frozen=True)
class Heading:
    """A heading of a page, and its anchor."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True)
class Rendered:
    """A text as HTML, with its headings below the title and what its code blocks are: language and text."""

    html: SafeString
    headings: tuple[Heading, ...]
    code: tuple[tuple[str, str], ...]


@dataclass
class _Notes:
    """What is gathered while one text is rendered."""

    anchors: set[str] = field(default_factory=set)
    headings: list[Heading] = field(default_factory=list)
    code: list[tuple[str, str]] = field(default_factory=list)

    def anchor(self, text: str) -> str:
        """Return a name for a heading that no other on the page has: GitHub's, so that one text serves both."""
        base = re.sub(r"[^\w\- ]", "", text.lower(), flags=re.ASCII).strip().replace(" ", "-") or "section"
        name, count = base, 1
        while name in self.anchors:
            name, count = f"{base}-{count}", count + 1
        self.anchors.add(name)
        return name


def render(text: str, links: dict[str, str] | None = None) -> Rendered:
    """Return a text as HTML. `links` replaces the file part of link targets, such as `errors.md`."""
    notes = _Notes()
    parser = _parser()
    tokens = parser.parse(text)
    _name_headings(tokens, notes)
    _label_tables(tokens, notes)
    _redirect(tokens, links or {})
    html = parser.renderer.render(tokens, parser.options, {"notes": notes})
    return Rendered(mark_safe(html), tuple(notes.headings), tuple(notes.code))  # noqa: S308 - made by the renderer, which escapes


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    parser.add_render_rule("heading_close", _heading_close)
    return parser


def _plain(inline: Token) -> str:
    """Return the text of a line without its marks."""
    return "".join(each.content for each in inline.children or () if each.type in ("text", "code_inline"))


def _name_headings(tokens: Sequence[Token], notes: _Notes) -> None:
    for at, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        text = _plain(tokens[at + 1])
        anchor = notes.anchor(text)
        token.attrSet("id", anchor)
        level = int(token.tag[1])
        tokens[at + 2].meta = {"anchor": anchor, "text": text, "level": level}
        if level > 1:
            notes.headings.append(Heading(level, anchor, text))


def _label_tables(tokens: Sequence[Token], notes: _Notes) -> None:
    """Give each cell its column's name and each row that begins with a word of code an anchor; say what each part is,
    for on a phone a table is laid out as cards, and browsers then forget that it is one."""
    table, columns, column, is_short = None, list[str](), 0, True
    for at, token in enumerate(tokens):
        if role := _ROLES.get(token.type):
            token.attrSet("role", role)
        match token.type:
            case "table_open":
                table, columns, is_short = token, [], True
            case "tr_open":
                column = 0
            case "th_open":
                columns.append(_plain(tokens[at + 1]))
            case "td_open":
                token.attrSet("data-label", columns[column])
                if column == 0:
                    _name_row(tokens[at - 1], tokens[at + 1], notes)
                elif len(_plain(tokens[at + 1])) > _SHORT:
                    is_short = False
                column += 1
            case "table_close":
                assert table is not None
                table.attrSet("class", "cards-table short" if is_short else "cards-table")


def _name_row(row: Token, first: Token, notes: _Notes) -> None:
    parts = [each for each in first.children or () if each.type != "text" or each.content.strip()]
    if len(parts) == 1 and parts[0].type == "code_inline":
        row.attrSet("id", notes.anchor(parts[0].content))


def _redirect(tokens: Sequence[Token], links: dict[str, str]) -> None:
    for token in tokens:
        for each in token.children or ():
            if each.type == "link_open":
                path, mark, anchor = str(each.attrs.get("href", "")).partition("#")
                each.attrSet("href", f"{links.get(path, path)}{mark}{anchor}")


def _heading_close(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """Return a heading's end, after a link to itself."""
    token = tokens[at]
    if token.meta["level"] == 1:
        return f"</{token.tag}>\n"
    return format_html(
        ' <a class="anchor" href="#{}" aria-label="Link to “{}”">#</a></{}>\n',
        token.meta["anchor"],
        token.meta["text"],
        token.tag,
    )


def _fence(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: dict[str, _Notes]) -> str:
    notes, token = env["notes"], tokens[at]
    language, text = token.info.strip(), token.content
    notes.code.append((language, text))
    number = len(notes.code)
    return code_box(text, language, number)


def code_box(text: str, language: str, number: int | str) -> SafeString:
    """Return a block of code with its colours and a button that copies it. `number`: no other on the page has it."""
    if language in LEXERS:
        coloured = highlight(text, get_lexer_by_name(LEXERS[language], stripnl=False), _FORMATTER)
    else:
        assert language in PLAIN, f"nobody knows the language {language!r}"
        coloured = escape(text)
    return format_html(
        '<div class="code-box"><pre role="region" tabindex="0" aria-label="Code {0}">'
        '<code id="code-{0}">{1}</code></pre>'
        '<button class="button small quiet" type="button" data-copy="code-{0}" data-js hidden>'
        "Copy</button></div>\n",
        number,
        mark_safe(coloured),  # noqa: S308 - escaped by Pygments or the line above
    )
