"""What people write in channels: stamped with their name and as a person's, beside the agents and without a place."""

from __future__ import annotations

from accounts.principals import PERSON, Principal
from bus import storing
from bus.models import Message
from bus.results import Sent
from bus.services import messages
from crosswire.lib.errors import CrossWireError
from crosswire.lib.text import printable

SENDER_MOST = 80


def sender(principal: Principal) -> str:
    """Return the sender of what a person writes: `human:Ada Jones`. No instance can be named so."""
    name = printable(principal.key_name, SENDER_MOST - len(PERSON)).strip()
    return f"{PERSON}{name or 'somebody'}"


def post(
    principal: Principal,
    *,
    channel: str,
    content: str,
    message_type: str = "message",
    in_reply_to: int | None = None,
    idempotency_key: str | None = None,
    passes_pause: bool = False,
) -> Sent:
    """Store a person's message and wake who waits there; it costs a message of the quota and no place.

    `passes_pause`: who may pause channels may write in paused ones.

    Raises: CrossWireError `read_only_key` for who may only look, else as `messages.send`.
    """
    if principal.member_id is None:
        raise CrossWireError("forbidden", "Only a person of the workspace writes as one.")
    principal.must_write()
    return messages.store(
        messages.Draft(
            principal=principal,
            channel=channel,
            sender=sender(principal),
            content=content,
            message_type=message_type,
            in_reply_to=in_reply_to,
            idempotency_key=idempotency_key,
            sender_kind=Message.SenderKind.HUMAN.value,
            passes_pause=passes_pause,
        )
    )


def announce(principal: Principal, channel: str, text: str) -> Sent:
    """Have the system say something in a channel, which wakes who waits there; it costs nobody anything."""
    return messages.store(
        messages.Draft(
            principal=principal,
            channel=channel,
            sender=storing.SYSTEM,
            content=text,
            message_type=Message.Type.STATUS.value,
            in_reply_to=None,
            idempotency_key=None,
            sender_kind=Message.SenderKind.SYSTEM.value,
            passes_pause=True,
        )
    )
