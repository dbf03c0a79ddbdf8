"""Messages as people read them: Markdown to HTML that can do nothing but be read.

Raw HTML stays text, images become links, links go to http, https and mailto alone; what comes out passes a sanitizer
besides. Time is bounded by what is taken for Markdown at all: longer text, or text of signs alone, is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from functools import cache, lru_cache
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_all_lexers, get_lexer_by_name

MARKDOWN_MOST = 20_000
"""Characters; longer text is shown as it is."""
LINES_MOST = 800
BRACKETS_MOST, SIGNS_MOST = 600, 4_000
"""Signs in one message; with more it is shown as it is. Each bracket may cost a look at all the rest."""
HIGHLIGHT_MOST = 4_000
"""Characters of code in a message that gets colours: lexers may take time with the square of the length."""
LANGUAGES = {
    *("bash", "c", "cpp", "css", "diff", "docker", "go", "html", "ini", "java", "javascript", "json", "jsx", "kotlin"),
    *("php", "python", "ruby", "rust", "scss", "sql", "swift", "toml", "tsx", "typescript", "xml", "yaml"),
}
"""What gets colours. Some of Pygments' other lexers take many seconds for a line that is made for them."""
DEEPEST = 20
"""Quotes, lists and their items inside each other."""
REMEMBERED, REMEMBERED_MOST = 256, 6_000
"""Texts whose HTML is kept, and the longest of those."""

_SIGNS = re.compile(r"[*_`~<>|!\\&]")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`]{1,2000}", re.IGNORECASE)
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_MARKS = re.compile(r"^\s{0,3}(?:```[^\n]*|#{1,6} |> ?|\|[-:| ]+\|$)", re.MULTILINE)
_AFTER_ADDRESS = ".,:;!?)]}*_"
_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "a", "ul", "ol", "li", "blockquote", "pre", "code", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "ol": {"start"},
    "p": {"class"},
    "pre": {"class", "tabindex"},
    "code": {"class"},
    "span": {"class"},
    "div": {"class", "tabindex"},
}
_LINK_REL = "nofollow noopener noreferrer"


def render(text: str) -> str:
    """Return a message's text as HTML."""
    return _remembered(text) if len(text) <= REMEMBERED_MOST else _render(text)


def plain(text: str) -> str:
    """Return text as HTML that shows it as it is."""
    return f'<p class="as-is">{escape(text)}</p>'


def excerpt(text: str, most: int) -> str:
    """Return the beginning of a text on one line, without the signs that Markdown would take away."""
    line = " ".join(_MARKS.sub(" ", text[: 4 * most]).replace("**", "").replace("`", "").split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 1].rstrip()}…"


@lru_cache(REMEMBERED)
def _remembered(text: str) -> str:
    return _render(text)


def _render(text: str) -> str:
    if not _is_affordable(text):
        return plain(text)
    env: dict[str, Any] = {}
    tokens = _markdown.parse(text, env)
    if not tokens or max(token.level for token in tokens) >= DEEPEST - 1:
        return plain(text)  # what lies deeper would be left out
    if sum(len(token.content) for token in tokens if token.type == "fence") > HIGHLIGHT_MOST:
        for token in tokens:
            token.info = ""
    return nh3.clean(
        _markdown.renderer.render(tokens, _markdown.options, env),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=_LINK_REL,
    )


def _is_affordable(text: str) -> bool:
    return (
        len(text) <= MARKDOWN_MOST
        and text.count("\n") <= LINES_MOST
        and text.count("[") <= BRACKETS_MOST
        and len(_SIGNS.findall(text)) <= SIGNS_MOST
    )


def _coloured(code: str, language: str, attributes: str) -> str:
    """Return a block of code with Pygments' classes in it."""
    del attributes
    body = escape(code)
    if (name := language.lower()) in _names():
        body = highlight(code, get_lexer_by_name(name, stripnl=False), _FORMATTER)
    return f'<pre class="code" tabindex="0"><code>{body}</code></pre>'


@cache
def _names() -> frozenset[str]:
    """Return every name of the languages that get colours."""
    return frozenset(
        name for _, names, _, _ in get_all_lexers(plugins=False) if LANGUAGES.intersection(names) for name in names
    )


_FORMATTER = HtmlFormatter(nowrap=True)


class _Renderer(RendererHTML):
    """HTML for inside a page: no headings of the page's own outline, no images, tables that scroll."""

    def heading_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Begin a heading: a bold line, as the page has its own outline."""
        return f'<p class="md-heading md-{tokens[index].tag}">'

    def heading_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """End a heading."""
        return "</p>\n"

    def image(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Show an image as a link to it: looking at a message calls nobody."""
        token = tokens[index]
        words = escape(self.renderInlineAsText(token.children, options, env) or "image")
        return f'<a href="{escape(str(token.attrs.get("src", "")))}">{words}</a>'

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """Begin a table in a box of its own."""
        return '<div class="scroll" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        """End a table."""
        return "</table></div>\n"


def _link_addresses(state: StateCore) -> None:
    """Make links of addresses that stand in the text as they are."""
    for block in state.tokens:
        if block.type == "inline" and block.children and "://" in block.content:
            block.children = _with_links(block.children)


def _with_links(tokens: Sequence[Token]) -> list[Token]:
    found: list[Token] = []
    depth = 0
    for token in tokens:
        depth += (token.type == "link_open") - (token.type == "link_close")
        if token.type != "text" or depth or "://" not in token.content:
            found.append(token)
            continue
        at = 0
        for match in _ADDRESS.finditer(token.content):
            address = match.group().rstrip(_AFTER_ADDRESS)
            found += [_text(token.content[at : match.start()]), *_link(address)]
            at = match.start() + len(address)
        found.append(_text(token.content[at:]))
    return found


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _link(address: str) -> list[Token]:
    attributes: dict[str, str | int | float] = {"href": address}
    return [Token("link_open", "a", 1, attrs=attributes), _text(address), Token("link_close", "a", -1)]


def _is_link(address: str) -> bool:
    """Return whether an address may be followed; one without a scheme would lead into our own pages."""
    return _LINK.match(address) is not None


def _made() -> MarkdownIt:
    options: MutableMapping[str, Any] = {
        "html": False,
        "breaks": True,
        "linkify": False,
        "typographer": False,
        "maxNesting": DEEPEST,
        "highlight": _coloured,
    }
    made = MarkdownIt("commonmark", options, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    made.core.ruler.push("addresses", _link_addresses)
    made.validateLink = _is_link  # type: ignore[assignment, method-assign] # its own way of being told
    return made


_markdown = _made()
