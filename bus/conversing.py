"""The operations that may wait, for the asynchronous surfaces: `wait_for_reply`, REST `wait=`, a waiting inbox."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import NamedTuple

from accounts import principals
from accounts.principals import Principal
from bus import clients, waiting
from bus.models import Wait
from bus.results import Inbox, Messages, Waited
from bus.services import endings, looks, reading, waits
from crosswire.lib import executor
from crosswire.lib.batches import Ask, Batches
from crosswire.lib.database import DatabaseProblem, Patience, patience
from crosswire.lib.errors import CrossWireError

logger = logging.getLogger(__name__)

BLOCKING_MINUTES = 25.0
AWAY_SECONDS = 5.0
"""A database that fails after so long for all would do so for each."""
LOOKED_TOGETHER = 100
"""Waits on one channel that are answered in one transaction, at most."""
STALE_SECONDS = 5.0
"""A wait this long without an answer looks around once more at its end."""


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
        principal,
        channel,
        name,
        seconds,
        wanted=wanted,
        after_id=after_id,
        limit=waits.WAITED_LIMIT,
        kind=Wait.Kind.BLOCKING,
        role=role,
    )
    found, why, waited = await _wait_on_channel(asked, progress)
    answer = waits.told(found or waits.nothing(asked), channel, asked.floor or 0, why, waited)
    return {**answer, **asked.about} if why == "mutual" else answer  # type: ignore[typeddict-item] # what the release wrote


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
    answer = found or waits.nothing(asked)
    answer["ended"] = why
    answer["resume_after_id"] = waits.resume_after(answer, asked.floor or 0)
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
    asked = _asked(principal, "", name, seconds, wanted=wait, limit=limit)

    def look(token: str) -> Inbox | None:
        return waits.look_into_inbox(asked, token, ack)

    answer, why, _ = await _wait(asked, look, progress)
    found: Inbox = answer or {"messages": [], "unread": {}, "has_more": False}
    if answer is None:
        found.update(asked.beside)  # type: ignore[typeddict-item] # its own keys
    found["ended"] = why
    return found


def _ceiling(principal: Principal) -> float:
    return clients.ceiling(principal.client, over_stdio=principal.kind == principals.STDIO)


def _asked(
    principal: Principal,
    channel: str,
    name: str | None,
    seconds: float,
    *,
    limit: int,
    wanted: float = 0,
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
        seconds=min(seconds, principal.seconds_left),
        wanted=min(wanted, principal.seconds_left),
        process=waiting.PROCESS,
    )


async def _wait_on_channel(asked: waits.Asked, progress: waiting.Progress | None) -> tuple[Messages | None, str, float]:
    async def look_with_others(waiter: waiting.Waiter) -> Messages | waiting.Alone | None:
        if not asked.is_open or asked.instance is None or asked.principal.is_read_only or waiter.why:
            return waiting.ALONE
        look = looks.Look(asked, waiter.token, copy_context())
        found = await _looks.ask((asked.principal.workspace_id, asked.channel), _Looking(waiter, look))
        _note(waiter, asked)
        return found

    return await _wait(asked, lambda token: waits.look(asked, token), progress, look_with_others)


class _Looking(NamedTuple):
    """Who looks with others."""

    waiter: waiting.Waiter
    look: looks.Look


type _Found = Messages | waiting.Alone | None


async def _look_together(asks: list[Ask[_Looking, _Found]]) -> None:
    """Look for all who wait on a channel and were woken. Where that fails each looks alone, so that one hinders nobody.

    Raises: CrossWireError, DatabaseProblem: the server is busy or the database away, and would be so for each.
    """
    for ask in asks:
        if ask.item.waiter.is_over:
            ask.give(None)
    own = [ask for ask in asks if not ask.answer.done()]
    for ask in own:
        ask.item.waiter.is_queued = False
    found = await _found_together([ask.item.look for ask in own]) if len(own) > 1 else None
    for index, ask in enumerate(own):
        ask.give(waiting.ALONE if found is None else found[index])


async def _found_together(own: Sequence[looks.Look]) -> Sequence[Messages | None] | None:
    """Return what is there for each, None where that fails. Raises: as `_look_together`."""
    patience.set(Patience())
    began = time.monotonic()
    try:
        return await executor.run(looks.look_together, own)
    except CrossWireError:
        raise
    except looks.NotTogetherError:
        pass
    except DatabaseProblem as problem:
        if time.monotonic() - began > AWAY_SECONDS:
            raise
        logger.warning("not_looked_together", extra={"problem": str(problem)})
    except Exception:
        logger.exception("not_looked_together")
    return None


_looks = Batches[tuple[int, str], _Looking, _Found](_look_together, LOOKED_TOGETHER, waiting.turn)
"""By workspace and channel."""


def _note(waiter: waiting.Waiter, asked: waits.Asked) -> None:
    """Have the room know what a look has found out."""
    waiter.newest, waiter.seconds, waiter.party_since = asked.newest, asked.seconds, asked.party_since
    waiter.has_row = asked.is_open


async def _wait[T](
    asked: waits.Asked,
    look: Callable[[str], T | None],
    progress: waiting.Progress | None,
    look_with_others: Callable[[waiting.Waiter], Awaitable[T | waiting.Alone | None]] | None = None,
) -> tuple[T | None, str, float]:
    """Wait for as long as the key works. Raises: CrossWireError as a new call would, when it works no longer."""
    principal = asked.principal

    async def look_and_note(waiter: waiting.Waiter) -> T | None:
        found = await executor.run(look, waiter.token)
        _note(waiter, asked)
        if found is None and waiter.why == "mutual":
            asked.about = await executor.run(waits.about, waiter.token)
        return found

    found, why, waited = await waiting.wait(
        principal.workspace_id, asked.channel, asked.seconds, look_and_note, progress, look_with_others=look_with_others
    )
    if why in endings.LOST or (why == "time" and not principal.seconds_left):
        await executor.run(principals.check_again, principal, asked.instance)
        why = "restart"  # it was given back
    if why == "time" and waited >= STALE_SECONDS:
        with suppress(CrossWireError, DatabaseProblem):  # then what the look has seen must do
            await executor.run(waits.look_around, asked)
    return found, why, waited
