"""A channel's conversation as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

from accounts import rates
from accounts.here import Here, member_page
from accounts.roles import Action
from bus.services import transcripts
from bus.views.channel import find
from crosswire.lib import clock, executor


@require_safe
@member_page(Action.VIEW)
def markdown(request: HttpRequest, here: Here, name: str) -> HttpResponse:
    """Return the conversation as Markdown."""
    rates.count_operation(here.principal)
    channel, _ = find(here, name)
    parts = transcripts.markdown(here.principal, channel)
    return _file(request, (part.encode() for part in parts), "text/markdown; charset=utf-8", f"{channel.name}", "md")


@require_safe
@member_page(Action.VIEW)
def json(request: HttpRequest, here: Here, name: str) -> HttpResponse:
    """Return the conversation as JSON."""
    rates.count_operation(here.principal)
    channel, _ = find(here, name)
    parts = transcripts.json_document(here.principal, channel)
    return _file(request, parts, "application/json", f"{channel.name}", "json")


def _file(request: HttpRequest, parts: Iterator[bytes], kind: str, name: str, ending: str) -> HttpResponse:
    """Return a file that is made while it is read. On the event loop each part is made on a thread of its own turn."""
    content = _on_threads(parts) if isinstance(request, ASGIRequest) else parts
    response = StreamingHttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}-{clock.now().date()}.{ending}"'
    return response  # type: ignore[return-value] # what a page may answer with, though no HttpResponse by name


async def _on_threads(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while part := await executor.run(lambda: next(parts, b"")):
        yield part
