"""Quoting for snippets: what people name their instances must come out whole in every format, and as nothing else.

Snippets are plain text, which a page escapes like any other; `ticked` alone is about HTML.
"""

from __future__ import annotations

import json
import re
import shlex

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def quoted(value: object) -> str:
    """Return a string literal of JSON, which TOML, Python, JavaScript and TypeScript read the same."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


@register.filter
def shell(value: object) -> str:
    """Return one word of a POSIX shell's command line."""
    return shlex.quote(str(value))


@register.filter
def in_shell(value: object) -> str:
    """Return a text that stands between the single quotes of a shell's command line."""
    return str(value).replace("'", "'\\''")


@register.filter
def code(value: object) -> str:
    """Return a code span of Markdown, with a fence longer than any run of backticks inside."""
    text = str(value)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


@register.filter
def ticked(value: object) -> SafeString:
    """Return HTML for one line of text, in which what stands in backticks is code."""
    parts = str(value).split("`")
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", part) if at % 2 else part,) for at, part in enumerate(parts))
    )
