"""Asking for an export, and fetching it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_POST

from accounts import exports, members
from accounts.here import Here, member_page
from accounts.roles import Action

_AT_ONCE = 256 * 1024


@require_POST
@member_page(Action.EXPORT, while_suspended=True)
def ask(request: HttpRequest, here: Here) -> HttpResponse:
    """Have an export made."""
    with members.acting(here.member, Action.EXPORT):
        exports.ask(here.workspace, user=here.user, actor=here.actor)
    messages.success(request, f"The export is being made. {here.user.email} gets a mail when it is ready.")
    return redirect(reverse("workspace_settings", args=[here.workspace.slug]) + "#exports")


@require_GET
@member_page(Action.EXPORT, while_suspended=True)
def download(request: HttpRequest, here: Here, export_id: int) -> HttpResponse:
    """Send the file of an export."""
    export, path = exports.find_file(here.workspace, export_id, actor=here.actor)
    name = f"crosswire-{here.workspace.slug}-{export.created_at:%Y-%m-%d-%H%M}.zip"
    is_async = isinstance(request, ASGIRequest)
    response = StreamingHttpResponse(_pieces_async(path) if is_async else _pieces(path), content_type="application/zip")
    response.headers["Content-Length"] = str(path.stat().st_size)
    response.headers["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or ""
    return response  # type: ignore[return-value] # no HttpResponse, but all that is asked of one


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_AT_ONCE):
            yield piece


async def _pieces_async(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, _AT_ONCE):
            yield piece
