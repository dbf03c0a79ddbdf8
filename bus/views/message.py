"""One message: what it answers, what answers it, what became of it."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.here import Here, member_page
from accounts.roles import Action
from bus import access, conversation
from bus.params import BIGGEST_ID
from bus.services import rooms
from bus.views.channel import Post, find, new_key
from crosswire.lib.errors import not_found


@require_safe
@member_page(Action.VIEW)
def message(request: HttpRequest, here: Here, name: str, number: int) -> HttpResponse:
    """Show a message with its replies and receipts."""
    channel, is_exact = find(here, name)
    if not is_exact:
        return redirect("message", here.workspace.slug, channel.name, number)
    found = rooms.thread(here.principal, channel, _known(number))
    lines = conversation.lines(found.stretch, found.state.claims, thread_of=number)
    place = conversation.Place(here.workspace.slug, channel.name, may_post=False)
    texts = conversation.render(lines, place)
    shown = {
        "channel": channel,
        "number": number,
        "thread": found,
        "line": lines[0] if found.message else None,
        "main": texts[0],
        "replies": texts[1:] if found.message else texts,
        "handed": [
            (each["instance_id"], datetime.fromisoformat(each["at"]))
            for each in (found.receipts["handed"] if found.receipts else [])
        ],
        "place": place,
        "form": Post(initial={"key": new_key(), "in_reply_to": number, "message_type": "response"}),
        "may_post": here.may(Action.POST) and found.message is not None,
        "may_moderate": here.may(Action.MODERATE),
    }
    return render(request, "bus/message.html", shown)


@require_safe
@member_page(Action.VIEW)
def text(request: HttpRequest, here: Here, name: str, number: int) -> HttpResponse:
    """Return a message's text as a file."""
    channel, _ = find(here, name)
    found = access.get_message(here.principal, _known(number), channel.name)
    response = HttpResponse(found.content, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{channel.name}-{number}.txt"'
    return response


def _known(number: int) -> int:
    """Return a number that the database can look for. Raises: CrossWireError `not_found`."""
    if number > BIGGEST_ID:
        raise not_found(f"There is no message #{number} here.")
    return number
