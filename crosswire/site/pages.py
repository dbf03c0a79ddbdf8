"""The public pages: which there are, where they are, and what each is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.template import Context, engines
from django.template.loader import render_to_string

from bus import snippets
from bus.guides import GUIDES
from bus.rest import docs as rest_docs
from crosswire.site import facts, markdown
from crosswire.site.markdown import Heading, Rendered


@dataclass(frozen=True)
class Page:
    """A page that is the same for everybody. `path` has no leading slash; `template` ends with .md or .html.

    `group` is its part of the documentation, "" outside it. `further` gives what its template needs beside the facts.
    """

    name: str
    path: str
    template: str
    title: str
    description: str
    group: str = ""
    further: Callable[[], dict[str, Any]] = field(default=dict)


def _docs(slug: str, title: str, description: str, group: str, further: Callable[[], dict[str, Any]] = dict) -> Page:
    kind = "html" if slug in ("tools", "api") else "md"
    name = {"": "docs", "api": "api-docs"}.get(slug, f"docs-{slug}")
    path, template = f"docs/{slug}/" if slug else "docs/", f"docs/{slug or 'index'}.{kind}"
    return Page(name, path, template, title, description, group, further)


_START, _REFERENCE, _RUNNING, _HELP = "Start", "Reference", "People and operation", "Help"

DOCS = (
    _docs("", "Documentation", "What CrossWire is, and where to read on.", _START),
    _docs("quickstart", "Quickstart", "Two agents that talk, in two minutes.", _START),
    _docs(
        "connect",
        "Connect a client",
        "How each client is connected: Claude, ChatGPT, Gemini, Codex, Cursor, VS Code, scripts.",
        _START,
        lambda: {"kinds": facts.connecting()},
    ),
    _docs("skill", "Skill for Claude Code", "A file that teaches Claude Code how to work with other agents.", _START),
    _docs(
        "tools",
        "MCP tools",
        "Every tool: what it takes, what it gives, what it refuses.",
        _REFERENCE,
        lambda: {"tools": facts.tool_entries()},
    ),
    _docs(
        "api",
        "REST API",
        "Every call of the REST interface: arguments, answers, refusals and an example.",
        _REFERENCE,
        lambda: {"groups": rest_docs.groups(), "shapes": rest_docs.shapes()},
    ),
    _docs(
        "protocol",
        "Types and protocol",
        "Message types, and a block for CLAUDE.md or instructions.",
        _REFERENCE,
        lambda: {"instructions": snippets.instructions()},
    ),
    _docs("semantics", "What is promised", "Delivery, order, retries, reading, waiting, retention.", _REFERENCE),
    _docs(
        "operations",
        "Operations in detail",
        "Receipts, claims, waits, tasks, events and search, precisely.",
        _REFERENCE,
        lambda: {"text": facts.repository_text("docs/operations.md")},
    ),
    _docs(
        "errors",
        "Errors",
        "Every code, what it means and what to do.",
        _REFERENCE,
        lambda: {"text": facts.repository_text("docs/errors.md")},
    ),
    _docs("limits", "Plans and limits", "Every figure: quotas, sizes, rates, waits.", _REFERENCE),
    _docs("security", "Security", "Keys, isolation, untrusted text, what is logged.", _RUNNING),
    _docs("roles", "Roles", "Who in a workspace may do what.", _RUNNING),
    _docs("self-hosting", "Run it yourself", "Install, set up and look after CrossWire; every setting.", _RUNNING),
    _docs("troubleshooting", "Troubleshooting", "What to look at when something does not work.", _HELP),
    _docs("faq", "Questions", "Short answers to what is asked most.", _HELP),
)

PAGES = (
    Page(
        "index",
        "",
        "site/index.html",
        "CrossWire: a message bus for AI agents",
        "Claude, ChatGPT, Gemini, Codex, Cursor and your own scripts talk in channels, and wake each other.",
        further=lambda: {"claude_line": _claude_line(), **_clients()},
    ),
    Page(
        "pricing", "pricing", "site/pricing.html", "Plans · CrossWire", "What a workspace may use, and what it costs."
    ),
    Page("terms", "terms", "site/terms.md", "Terms of service", "The terms of this installation of CrossWire."),
    Page("privacy", "privacy", "site/privacy.md", "Privacy", "What this installation of CrossWire stores, and why."),
    *DOCS,
)


def _claude_line() -> str:
    return markdown.code_box(snippets.render(GUIDES["claude-code"]), "sh", 1)


def _clients() -> dict[str, list[str]]:
    """Return which clients can be connected today, and which cannot yet."""
    shown = [each for each in GUIDES.values() if each.auth != "none"]
    return {
        "clients": [each.title for each in shown if each.calls_here],
        "clients_to_come": [each.title for each in shown if not each.calls_here],
    }


def html(page: Page, *, is_signed_in: bool, **extra: Any) -> str:
    """Return a page; `is_signed_in` changes what its bar offers. `extra` goes to the template."""
    shown = {**facts.everything(), **page.further(), "page": page, "is_signed_in": is_signed_in, **extra}
    frame = "docs/frame.html" if page.group else "site/text.html"
    if page.template.endswith(".md"):
        rendered = text_of(page)
        shown |= {"body": rendered.html, "headings": _outline(rendered.headings)}
    else:
        frame = page.template
        shown["headings"] = _headings(shown)
    if page.group:
        shown |= _around(page)
    return render_to_string(frame, shown)


@cache
def text_of(page: Page) -> Rendered:
    """Return a Markdown page's text. Django fills it in first; nothing is escaped there, since Markdown does."""
    template = engines["django"].engine.get_template(page.template)  # type: ignore[attr-defined]
    filled = template.render(Context({**facts.everything(), **page.further()}, autoescape=False))
    return markdown.render(filled, {"errors.md": "/docs/errors/", "operations.md": "/docs/operations/"})


_OUTLINE_MOST = 28


def _outline(headings: tuple[Heading, ...]) -> list[Heading]:
    """Return the headings that the page's own table of contents shows: one level, or two if that is not long."""
    both = [each for each in headings if each.level <= 3]
    return both if len(both) <= _OUTLINE_MOST else [each for each in both if each.level == 2]


def _headings(shown: dict[str, Any]) -> list[Heading]:
    """Return the headings of a page that is made from a table."""
    if "tools" in shown:
        return [Heading(2, each["name"], each["name"]) for each in shown["tools"]]
    if "groups" in shown:
        return [Heading(2, each["id"], each["title"]) for group in shown["groups"] for each in group["operations"]]
    return []


def _around(page: Page) -> dict[str, Any]:
    """Return what stands around a page of the documentation: all pages by group, the one before, the one after."""
    at = DOCS.index(page)
    groups: dict[str, list[Page]] = {}
    for each in DOCS:
        groups.setdefault(each.group, []).append(each)
    return {
        "docs": groups,
        "before": DOCS[at - 1] if at else None,
        "after": DOCS[at + 1] if at + 1 < len(DOCS) else None,
    }
