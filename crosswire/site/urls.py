"""Where the public pages and files are."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from crosswire.site import facts, files, pages, serving, status


@require_safe
def status_page(request: HttpRequest) -> HttpResponse:
    """Show people how the service is; programs ask /health."""
    report = status.report()
    shown = {**facts.everything(), "report": report, "is_signed_in": serving.has_session(request), "page": STATUS}
    text = render_to_string("site/status.html", shown)
    return HttpResponse(text, status=503 if report.state == "bad" else 200, headers={"Cache-Control": "no-store"})


STATUS = pages.Page("status", "status", "site/status.html", "Status", "How this installation of CrossWire is.")
status_page.is_public = True  # type: ignore[attr-defined] # the middleware's mark

urlpatterns: list[URLPattern] = [
    *(path(page.path, serving.page_view(page), name=page.name) for page in pages.PAGES),
    path(STATUS.path, status_page, name=STATUS.name),
    *(
        path(f"{page.path}/", RedirectView.as_view(url=f"/{page.path}", permanent=True, query_string=True))
        for page in (*pages.PAGES, STATUS)
        if page.path and not page.path.endswith("/")
    ),
    path("docs/crosswire-skill.md", serving.file_view(files.skill), name="skill-file"),
    path("docs/crosswire-skill.zip", serving.file_view(files.skill_archive), name="skill-archive"),
    path("robots.txt", serving.file_view(files.robots), name="robots"),
    path("sitemap.xml", serving.file_view(files.sitemap), name="sitemap"),
    path(".well-known/security.txt", files.security, name="security-txt"),
]


def public_views() -> dict[str, Callable[[HttpRequest], HttpResponseBase]]:
    """Return the views that need neither a session nor the database, by their address."""
    found = {f"/{each.pattern}": each.callback for each in urlpatterns}
    return {address: view for address, view in found.items() if getattr(view, "is_public", False)}
