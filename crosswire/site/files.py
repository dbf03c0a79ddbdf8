"""Public files beside the pages: for crawlers, for who finds a fault, and the skill for Claude Code."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template import Context, engines
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from crosswire.lib import clock
from crosswire.site import facts, pages
from crosswire.site.serving import Body

_HIDDEN = ("/w/", "/accounts/", "/admin/", "/api/", "/mcp")
_CONTACT_DAYS = 180
_ZIPPED_AT = (2026, 1, 1, 0, 0, 0)


def robots() -> Body:
    """Return what crawlers may read: the public pages."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in _HIDDEN), f"Sitemap: {settings.PUBLIC_URL}/sitemap.xml"]
    return Body.of("\n".join(lines) + "\n", "text/plain; charset=utf-8")


def sitemap() -> Body:
    """Return the addresses of the public pages."""
    addresses = "".join(f"  <url><loc>{settings.PUBLIC_URL}/{page.path}</loc></url>\n" for page in pages.PAGES)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{addresses}</urlset>\n'
    )
    return Body.of(text, "application/xml; charset=utf-8")


def skill_text() -> str:
    """Return the skill: what an agent is told about working together, as Claude Code loads it."""
    template = engines["django"].engine.get_template("docs/SKILL.md")  # type: ignore[attr-defined]
    text: str = template.render(Context(facts.everything(), autoescape=False))
    return text


def skill() -> Body:
    """Return the skill as the file it is."""
    return Body.of(skill_text(), "text/markdown; charset=utf-8")


def skill_archive() -> Body:
    """Return the skill as an archive of its folder, for clients that take one."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("crosswire/SKILL.md", _ZIPPED_AT), skill_text())
    return Body.of(packed.getvalue(), "application/zip")


@require_safe
@cache_control(public=True, max_age=3600)
def security(request: HttpRequest) -> HttpResponse:
    """Say whom to tell of a fault in the service (RFC 9116); without an operator's address there is nothing here."""
    if not settings.OPERATOR_EMAIL:
        raise Http404
    expires = (clock.now() + timedelta(days=_CONTACT_DAYS)).astimezone(UTC).strftime("%Y-%m-%dT00:00:00Z")
    lines = (
        f"Contact: mailto:{settings.OPERATOR_EMAIL}",
        f"Expires: {expires}",
        "Preferred-Languages: en",
        f"Canonical: {settings.PUBLIC_URL}/.well-known/security.txt",
        f"Policy: {settings.PUBLIC_URL}/docs/security/",
    )
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
