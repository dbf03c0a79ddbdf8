"""Claims: of a request or handoff that several could work on, exactly one instance takes it, for a while."""

from __future__ import annotations

from datetime import timedelta

from accounts.principals import Principal
from bus import access, calls, cursors, fates, hot, wakeups
from bus.models import Message
from bus.results import Claim
from bus.services import instances
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError

CLAIMABLE = (Message.Type.REQUEST, Message.Type.HANDOFF)


def claim(
    principal: Principal,
    *,
    message_id: int,
    instance_id: str = "",
    channel: str | None = None,
    lease_seconds: float = 600,
    release: bool = False,
) -> Claim:
    """Take a message, hold it longer, or give it back. It ends by the holder's reply, too, and when it unregisters.

    Raises: CrossWireError `claimed` (by another, who is named), `not_claimable` (no request or handoff, or one's
    own), `not_found`, `limit_reached` (no place for a newcomer), `wrong_instance`, `read_only_key`.
    """
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    assert name is not None
    message = access.get_message(principal, message_id, channel)
    _require_claimable(message, name, release=release)
    found = instances.arrive(principal, name, message.channel.name)
    with writing():
        now = clock.now()
        if release:
            fates.release(principal.workspace_id, [(message.number, name)])
        else:
            until = now + timedelta(seconds=lease_seconds)
            fates.claim(principal.workspace_id, message.number, found.instance_id, now, until)
        holder = fates.holder(principal.workspace_id, message.number, now)
        replies = fates.replies(principal.workspace_id, message.number)  # the answer that ended a claim is among them
        _confirm(principal, found, message)
        wakeups.room_changed(principal.workspace_id, message.channel.name)
    if holder is not None and holder.instance_id != found.instance_id:
        raise _taken(message, holder)
    return {
        "ok": True,
        "id": message.number,
        "channel": message.channel.name,
        "claimed_by": holder.instance if holder else None,
        "until": clock.iso(holder.until) if holder else None,
        "reply_count": replies,
        **instances.news(principal, name),
    }


def _require_claimable(message: Message, name: str, *, release: bool) -> None:
    if message.message_type not in CLAIMABLE:
        raise CrossWireError(
            "not_claimable",
            f"Only a request or a handoff can be claimed, and #{message.number} is of type {message.message_type}.",
        )
    if message.sender == name and not release:
        raise CrossWireError(
            "not_claimable",
            f"#{message.number} is your own {message.message_type}: leave it to another instance to claim.",
        )


def _confirm(principal: Principal, found: hot.Standing, message: Message) -> None:
    """Take the claim, granted or not, as a sign that the answer which held the message arrived."""
    if found.place is None:
        return
    after = cursors.confirm_by_send(found.place, None, answers=message.number, is_alone=calls.is_alone())
    if after != found.place:
        hot.move_cursor(principal.workspace_id, found.instance_id, after)


def _taken(message: Message, holder: fates.Holder) -> CrossWireError:
    until = clock.iso(holder.until)
    return CrossWireError(
        "claimed",
        f'#{message.number} is claimed by "{holder.instance}" until {until}; leave it to that instance, or try again '
        "then.",
        claimed_by=holder.instance,
        until=until,
    )
