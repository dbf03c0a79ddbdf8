"""How many calls a minute a caller may make (semantics 26): a workspace as its plan says, one key half of that.

REST, MCP and whatever else there is share the buckets.
"""

from __future__ import annotations

from django.conf import settings

from accounts import refusals
from accounts.principals import Principal
from crosswire.lib import rates
from crosswire.lib.env import is_loopback
from crosswire.lib.errors import CrossWireError
from crosswire.lib.rates import Bucket

PROTOCOL_CALLS = 1_200
"""Calls a minute that a credential may spend on the protocol itself: handshakes, lists, pings."""
STRANGERS_CALLS = 60
"""Calls a minute that an address may make without a working key."""


def count_operation(principal: Principal) -> None:
    """Count one operation. For threads. Raises: CrossWireError `rate_limited`."""
    if buckets := _buckets(principal):
        _refuse(rates.take(buckets), principal)


async def acount_operation(principal: Principal) -> None:
    """Count one operation. For the event loop. Raises: CrossWireError `rate_limited`."""
    if buckets := _buckets(principal):
        _refuse(await rates.atake(buckets), principal)


async def acount_protocol(principal: Principal) -> None:
    """Count one call of the protocol. Raises: CrossWireError `rate_limited`."""
    if principal.plan.calls is None:
        return
    bucket = Bucket(f"protocol:{principal.credential}", PROTOCOL_CALLS)
    if refusal := await rates.atake([bucket]):
        raise CrossWireError(
            "rate_limited",
            f"A key may make {PROTOCOL_CALLS:,} protocol calls a minute; try again in {refusal.retry_after} s.",
            retry_after=refusal.retry_after,
            plan=principal.plan.name,
            limit=PROTOCOL_CALLS,
            used=PROTOCOL_CALLS,
            resets_at=refusals.resets_at(refusal.retry_after),
        )


def count_stranger(address: str) -> None:
    """Count one call without a working key. For threads. Raises: CrossWireError `rate_limited`."""
    if not _is_at_home(address):
        _refuse_stranger(rates.take([_stranger(address)]))


async def acount_stranger(address: str) -> None:
    """Count one call without a working key. For the event loop. Raises: CrossWireError `rate_limited`."""
    if not _is_at_home(address):
        _refuse_stranger(await rates.atake([_stranger(address)]))


def _buckets(principal: Principal) -> list[Bucket]:
    calls = principal.plan.calls
    if calls is None:
        return []
    tenant = f"{{{principal.workspace_id}}}"  # braces: both on one node of a Redis Cluster
    return [Bucket(f"{tenant}:workspace", calls), Bucket(f"{tenant}:{principal.credential}", max(1, calls // 2))]


def _refuse(refusal: rates.Refusal | None, principal: Principal) -> None:
    if refusal is None:
        return
    plan, limit = principal.plan, refusal.bucket.per_minute
    whose = "a workspace" if limit == plan.calls else "one key"
    raise refusals.rate_limited(
        plan,
        f"Plan {plan.title} has {limit:,} calls a minute for {whose}; try again in {refusal.retry_after} s. "
        f"To hear of messages, wait (wait_for_reply, or wait=) instead of asking again and again.",
        principal.workspace_slug,
        limit=limit,
        retry_after=refusal.retry_after,
    )


def _is_at_home(address: str) -> bool:
    """Return whether somebody tries things on the machine that only he uses."""
    return not settings.IS_PRODUCTION and is_loopback(address)


def _stranger(address: str) -> Bucket:
    return Bucket(f"address:{address}", STRANGERS_CALLS)


def _refuse_stranger(refusal: rates.Refusal | None) -> None:
    if refusal is not None:
        raise CrossWireError(
            "rate_limited",
            f"Too many calls without a working key from this address; try again in {refusal.retry_after} s.",
            retry_after=refusal.retry_after,
            limit=STRANGERS_CALLS,
            used=STRANGERS_CALLS,
            resets_at=refusals.resets_at(refusal.retry_after),
        )
