"""The public pages as tests see them: fetched from the application itself, taken apart into links and anchors."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

if TYPE_CHECKING:
    from django.test import Client


@dataclass
class Parts(HTMLParser):
    """What a page is made of."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names."""
        given = {name: value or "" for name, value in attrs}
        assert not {name for name in given if name.startswith("on") or name == "style"}, f"inline code in <{tag}>"
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag == "link" and given["rel"] in {"stylesheet", "icon"}:
            self.assets.append(given["href"])
        if tag in {"script", "img"}:
            self.assets.append(given["src"])
        if tag == "meta":
            self.meta[given.get("property") or given.get("name", "")] = given.get("content", "")

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """The page's text, blanks folded."""
        return " ".join(" ".join(self.texts).split())


def stranger(**headers: str) -> Client:
    """Return a browser that nobody has signed in with."""
    from django.test import Client  # noqa: PLC0415 - this module is imported before Django is set up

    return Client(HTTP_HOST="localhost", headers=headers or None)


def page(path: str) -> Parts:
    """Return a public page, taken apart; it has to be there."""
    answer: Any = stranger().get(path)
    assert answer.status_code == 200, path
    parts = Parts()
    parts.feed(answer.content.decode())
    return parts


def inside(base: str, link: str, public_url: str) -> tuple[str, str] | None:
    """Return path and anchor of a link, None where it leads elsewhere."""
    link = link.removeprefix(public_url) if link.startswith(public_url) else link
    if link.startswith(("http:", "https:", "mailto:")):
        return None
    path, _, anchor = urljoin(base, link).partition("#")
    return path.partition("?")[0], anchor


def forget_public_pages() -> None:
    """Have the public pages be made anew: they are kept, and say where the product believed to be."""
    from bus.rest import docs  # noqa: PLC0415 - Django is not set up when this module is loaded
    from crosswire.site import facts, pages, serving  # noqa: PLC0415 - as above

    for module in (docs, facts, pages, serving):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()
