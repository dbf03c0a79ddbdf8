"""Plain search: every word must be in the message, newest first, over the newest messages."""

from __future__ import annotations

from accounts.principals import Principal
from bus import access
from bus.results import Found
from bus.services import reading

SEARCHED_MOST = 5_000
WORDS_MOST = 8


def search(
    principal: Principal,
    *,
    query: str,
    limit: int = 10,
    channel: str | None = None,
    sender: str | None = None,
    message_type: str | None = None,
) -> Found:
    """Return messages that contain every word of the query (the first eight), whatever the case of its letters a-z.

    Any text is a legal query.
    """
    live = access.messages(principal).order_by("-number")
    edge = live.values_list("number", flat=True)[SEARCHED_MOST - 1 : SEARCHED_MOST].first()
    rows = live if edge is None else live.filter(number__gte=edge)
    if channel is not None:
        rows = rows.filter(channel__name=channel)
    if sender is not None:
        rows = rows.filter(sender=sender)
    if message_type is not None:
        rows = rows.filter(message_type=message_type)
    for word in query.split()[:WORDS_MOST] or [query]:
        rows = rows.filter(content__icontains=word)
    found: Found = {"messages": reading.fitting([reading.stored_item(row) for row in rows[:limit]])}
    if edge is not None:
        found["searched_back_to"] = edge
    return found
