"""Shared data: what is there, one item, a copy of it, deleting it. Keys may hold anything, so they come as `?key=`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_safe

from accounts import pruned, rates
from accounts.here import Here, member_page
from accounts.roles import Action
from bus.operations import OPERATIONS
from bus.paging import Mark
from bus.services import shared
from bus.views.overview import Meter, usage_here

PER_PAGE = 50
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029]')
_PLAIN = (".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".log")
_CHUNK = 65_536


@require_safe
@member_page(Action.VIEW)
def data(request: HttpRequest, here: Here) -> HttpResponse:
    """List the items, newest first, and what is left of the allowance."""
    after = Mark.read(request.GET.get("after", ""))
    listed = shared.page(here.principal, after=after, most=PER_PAGE)
    used = usage_here(here)
    meter = Meter("data", "Allowance", used["data_bytes"], is_bytes=True)
    shown: dict[str, Any] = {"listed": listed, "after": after, "usage": used, "meter": meter}
    shown |= {"pruned": pruned.last_pruned(here.workspace.pk, pruned.SHARED_DATA)}
    return render(request, "bus/data.html", shown)


@require_safe
@member_page(Action.VIEW)
def item(request: HttpRequest, here: Here) -> HttpResponse:
    """Show an item, or the part of it that begins at a character."""
    wanted = OPERATIONS["get_shared_data"].validate({"offset": 0, **_given(request, "key", "offset")})
    found = shared.show(here.principal, key=wanted["key"], offset=wanted["offset"])
    text = f"\n{found['content']}"  # HTML drops the first line break of a <pre>
    shown = {"item": found, "text": text, "may_delete": here.may(Action.MODERATE)}
    return render(request, "bus/data_item.html", shown)


@require_safe
@member_page(Action.VIEW)
def download(request: HttpRequest, here: Here) -> HttpResponse:
    """Send an item as a file of plain text, whatever is in it."""
    rates.count_operation(here.principal)
    found = shared.get(here.principal, key=_key(request))
    answer = StreamingHttpResponse(_chunks(found["content"]), content_type="text/plain; charset=utf-8")
    answer["Content-Length"] = str(found["size_bytes"])
    answer["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=file_name(found["key"]))
    return answer  # type: ignore[return-value] # a page's answer; the decorator needs none of what they differ in


@require_http_methods(["GET", "HEAD", "POST"])
@member_page(Action.MODERATE)
def delete(request: HttpRequest, here: Here) -> HttpResponse:
    """Ask whether an item is to go; once that is confirmed, delete it."""
    key = _key(request)
    if request.method != "POST":
        return render(request, "bus/data_delete.html", {"item": shared.entry(here.principal, key=key)})
    shared.delete(here.principal, key=key)
    messages.success(request, f"Deleted “{key}”.")
    return redirect("data", here.workspace.slug)


def file_name(key: str) -> str:
    """Return a name under which any system can store an item and none will run it."""
    name = _UNSAFE.sub("_", key).strip(" .")[:120].rstrip(" .") or "data"
    return name if name.lower().endswith(_PLAIN) else f"{name}.txt"


def _key(request: HttpRequest) -> str:
    key: str = OPERATIONS["get_shared_data"].validate(_given(request, "key"))["key"]
    return key


def _given(request: HttpRequest, *names: str) -> dict[str, Any]:
    given = request.POST if request.method == "POST" else request.GET
    return {name: given[name] for name in names if name in given}


async def _chunks(content: str) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK].encode()
