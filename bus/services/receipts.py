"""Receipts: what is known of a message after it was stored."""

from __future__ import annotations

from accounts.principals import Principal
from bus import access, fates
from bus.models import Message
from bus.results import Receipts
from crosswire.lib import clock

LISTED_MOST = 100


def status(principal: Principal, *, message_id: int, channel: str | None = None) -> Receipts:
    """Return who was handed a message in a check, a wait or an inbox, who answered, and who has claimed it.

    Raises: CrossWireError `not_found` (also for a message that is not in the channel named).
    """
    message = access.get_message(principal, message_id, channel)
    handed, may_be_more = fates.handed(
        principal.workspace_id, message.channel_id, message.number, message.channel_seq, message.sender
    )
    answers = list(_answers_to(principal, message))
    holder = fates.holder(principal.workspace_id, message.number, clock.now())
    return {
        "id": message.number,
        "channel": message.channel.name,
        "sender": message.sender,
        "message_type": message.message_type,
        "accepted": clock.iso(message.created_at),
        "handed": [{"instance_id": each.instance, "at": clock.iso(each.at)} for each in handed[:LISTED_MOST]],
        "answered": [
            {"by": each.sender, "id": each.number, "at": clock.iso(each.created_at)} for each in answers[:LISTED_MOST]
        ],
        "claimed": {"by": holder.instance, "until": clock.iso(holder.until)} if holder else None,
        "has_more": may_be_more or max(len(handed), len(answers)) > LISTED_MOST,
    }


def _answers_to(principal: Principal, message: Message) -> list[Message]:
    replies = access.messages(principal).filter(in_reply_to=message.number).order_by("number")
    return list(replies.defer("content", "words")[: LISTED_MOST + 1])
