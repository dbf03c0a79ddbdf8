"""A channel's conversation as text: Markdown for people, JSON Lines for programs. In parts, so that it has no size.

What has expired is not in it. Each part is a query of its own: whoever reads slowly holds nothing of the database.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from accounts.principals import Principal
from bus import access
from bus.models import Channel, Message
from bus.services import reading
from crosswire.lib import clock, prose

PART = 200
"""Messages in a query."""


def markdown(principal: Principal, channel: Channel) -> Iterator[str]:
    """Yield the conversation as Markdown: a heading for each day and message, the content quoted.

    Quoted, so that no message can look like another one's heading; names escaped, and HTML shown as written.
    """
    about = f"{prose.escaped(channel.description)}\n\n" if channel.description else ""
    yield f"# #{channel.name}\n\n{about}As of {clock.iso(clock.now())}. Times are in UTC.\n"
    day = ""
    for part in _parts(principal, channel):
        text = []
        for message in part:
            today = message.created_at.date().isoformat()
            if today != day:
                text.append(f"\n## {today}\n")
                day = today
            text.append(_as_markdown(message))
        yield "".join(text)


def json_lines(principal: Principal, channel: Channel) -> Iterator[bytes]:
    """Yield the conversation as JSON, one message a line, as REST shows them."""
    for part in _parts(principal, channel):
        yield b"".join(orjson.dumps(reading.stored_item(message)) + b"\n" for message in part)


def json_document(principal: Principal, channel: Channel) -> Iterator[bytes]:
    """Yield the conversation as one JSON document."""
    head = {
        "channel": channel.name,
        "description": channel.description,
        "created_at": clock.iso(channel.created_at),
        "exported_at": clock.iso(clock.now()),
    }
    yield orjson.dumps(head)[:-1] + b',"messages":[\n'
    between = b""
    for lines in json_lines(principal, channel):
        yield between + lines.rstrip(b"\n").replace(b"\n", b",\n")
        between = b",\n"
    yield b"\n]}\n"


def _parts(principal: Principal, channel: Channel) -> Iterator[list[Message]]:
    """Yield the messages up to the newest one at the beginning, oldest first."""
    after, last = 0, channel.last_number
    while part := list(
        access.messages(principal).filter(channel=channel, number__gt=after, number__lte=last).order_by("number")[:PART]
    ):
        yield part
        after = part[-1].number


def _as_markdown(message: Message) -> str:
    who = prose.escaped(message.sender) + (" (verified)" if message.verified and message.sender_kind == "agent" else "")
    marks = [f"{message.created_at:%H:%M:%S}", message.message_type]
    if message.in_reply_to:
        marks.append(f"reply to #{message.in_reply_to}")
    return f"\n### #{message.number} {who}\n\n{' · '.join(marks)}\n\n{prose.quoted(message.content)}\n"
