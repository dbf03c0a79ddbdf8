"""Text that would do something if a page took it for anything but text."""

from __future__ import annotations

from html.parser import HTMLParser

SCRIPT = "<script>alert(1)</script>"
ATTRIBUTE = "\" autofocus onfocus=alert(1) x='><img src=x onerror=alert(1)>"
TEMPLATE = "{{ 7|add:7 }}{% debug %}${7*7}"
LINK = "javascript:alert(1)//[x](javascript:alert(1))"
TEXTS = (SCRIPT, ATTRIBUTE, TEMPLATE, LINK)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'\"><svg/onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "{{ 7*7 }}{% debug %}",
    "<iframe src=javascript:alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "<style>*{display:none}</style>",
    "<!-- --><b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
"""One line each, so that names and descriptions can be made of them too."""

MARKDOWN = [
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#10;script:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "[x](//evil.example)",
    "[x](/w/x/keys/)",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](http://a/b.png)',
    "<javascript:alert(1)>",
    "[x][y]\n\n[y]: javascript:alert(1)",
    '```"><script>alert(1)</script>\nx\n```',
    "```python onload=alert(1)\nx\n```",
    "`<script>alert(1)</script>`",
    'http://a.b/"onmouseover=alert(1)',
    "http://a.b/<script>alert(1)</script>",
    '[x](http://a.b "onclick=alert(1)")',
    "# <script>alert(1)</script>",
    "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
]


class Looked(HTMLParser):
    """What is in some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_inert(page: str) -> None:
    """Raises: AssertionError when one of the texts stands on a page as anything but text."""
    for tag in ("<script>alert", "<img src=x", "onfocus=alert(1) x='>", 'href="javascript:'):
        assert tag not in page, page[max(0, page.find(tag) - 200) : page.find(tag) + 200]
    assert "14{%" not in page
