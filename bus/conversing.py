"""The operations that may wait, for the asynchronous surfaces: `wait_for_reply`, REST `wait=`, a waiting inbox."""

from __future__ import annotations

from typing import Any

from accounts import principals
from accounts.principals import Principal
from bus import clients, waiting
from bus.models import Wait
from bus.results import Inbox, Messages, Waited
from bus.services import reading, waits
from crosswire.lib import executor

BLOCKING_MINUTES = 25.0
WAITED_LIMIT = 100


async def wait_for_reply(
    principal: Principal,
    *,
    channel: str,
    instance_id: str,
    after_id: int | None = None,
    timeout_seconds: float = 90,
    poll_interval_seconds: float | None = None,
    persistent: bool = True,
    max_wait_minutes: float | None = None,
    role: str = "active",
    progress: waiting.Progress | None = None,
) -> Waited:
    """Return as soon as somebody else has written, or a normal result that says why nothing came.

    Raises: CrossWireError `limit_reached`, `unavailable` (the server stops), `wrong_instance`.
    """
    del poll_interval_seconds  # accepted for programs written for buses that poll
    name = principal.speaks_for("instance_id", instance_id)
    minutes = BLOCKING_MINUTES if max_wait_minutes is None else max_wait_minutes
    wanted = minutes * 60 if persistent else timeout_seconds
    seconds = min(wanted, _ceiling(principal))
    asked = _asked(
        principal, channel, name, seconds, after_id=after_id, limit=WAITED_LIMIT, kind=Wait.Kind.BLOCKING, role=role
    )
    found, why, waited = await _wait_on_channel(asked, progress)
    if found is not None and any(message["message_type"] == "done" for message in found["messages"]):
        why = "done"
    answer = found or _nothing_new(asked)
    last = answer["last_id"]
    return {
        **answer,
        "channel": channel,
        "ended": why,
        "waited_seconds": round(waited, 1),
        "resume_after_id": (asked.floor or 0) if last is None else last,
    }


async def check_messages(
    principal: Principal,
    *,
    channel: str,
    after_id: int | None = None,
    limit: int = 20,
    instance_id: str | None = None,
    wait: float = 0,
    progress: waiting.Progress | None = None,
) -> Messages:
    """Read a channel; with `wait` seconds answer as soon as something is there."""
    if not wait:
        return await executor.run(
            reading.check, principal, channel=channel, after_id=after_id, limit=limit, instance_id=instance_id
        )
    name = principal.speaks_for("instance_id", instance_id)
    seconds = min(wait, clients.REST_SECONDS)
    asked = _asked(principal, channel, name, seconds, after_id=after_id, limit=limit)
    found, why, _ = await _wait_on_channel(asked, progress)
    answer = found or _nothing_new(asked)
    answer["ended"] = why
    return answer


async def inbox(
    principal: Principal,
    *,
    instance_id: str,
    limit: int = 20,
    wait: float = 0,
    ack: dict[str, int] | None = None,
    progress: waiting.Progress | None = None,
) -> Inbox:
    """Return the unread messages of all channels; with `wait` seconds as soon as there is one."""
    if not wait:
        return await executor.run(reading.inbox, principal, instance_id=instance_id, limit=limit, ack=ack)
    principal.must_write()
    name = principal.speaks_for("instance_id", instance_id)
    seconds = min(wait, _ceiling(principal))
    asked = _asked(principal, "", name, seconds, limit=limit)

    async def look(waiter: waiting.Waiter) -> Inbox | None:
        found = await executor.run(waits.look_into_inbox, asked, waiter.token, ack)
        waiter.newest = asked.newest
        return found

    answer, why, _ = await waiting.wait(principal.workspace_id, "", seconds, look, progress)
    found: Inbox = answer or {"messages": [], "unread": {}, "has_more": False}
    found["ended"] = why
    return found


def _ceiling(principal: Principal) -> float:
    return clients.ceiling(principal.client, over_stdio=principal.kind == principals.STDIO)


def _nothing_new(asked: waits.Asked) -> Messages:
    """Return an answer without messages, with what was unread elsewhere when the wait last looked."""
    answer = reading.empty()
    if asked.unread:
        answer["unread"] = asked.unread
    return answer


def _asked(
    principal: Principal,
    channel: str,
    name: str | None,
    seconds: float,
    *,
    limit: int,
    after_id: int | None = None,
    kind: Wait.Kind = Wait.Kind.LISTENER,
    role: str = "active",
) -> waits.Asked:
    return waits.Asked(
        principal=principal,
        channel=channel,
        instance=name,
        after_id=after_id,
        limit=limit,
        kind=kind.value,
        role=role,
        seconds=seconds,
        process=waiting.PROCESS,
    )


async def _wait_on_channel(asked: waits.Asked, progress: Any) -> tuple[Messages | None, str, float]:
    async def look(waiter: waiting.Waiter) -> Messages | None:
        found = await executor.run(waits.look, asked, waiter.token)
        waiter.newest = asked.newest
        return found

    return await waiting.wait(asked.principal.workspace_id, asked.channel, asked.seconds, look, progress)
