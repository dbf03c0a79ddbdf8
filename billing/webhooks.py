"""What Stripe tells us: stored by the event's id first, then handled; a failure is answered 500, so it comes again.

An event only says where to look. Each handler reads the object again from Stripe and applies what is so now, so events
may come late, twice, or in any order. What belongs to no customer of ours is another application's, and left alone:
which workspace is meant is known from our own table, never from what an event says.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F

from billing import gateway, money_back, refreshing
from billing.gateway import StripeAwayError
from billing.models import Customer, StripeEvent
from crosswire.lib import clock
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError, invalid

MOST_BYTES = 512_000
"""Larger than any event of Stripe's, whose objects have at most some dozens of lines."""
KEPT = timedelta(days=30)
"""As long as Stripe itself tells of an event."""
OTHER_VERSION = "Sent in version"
"""How the note of an event begins whose shape is not that of our version."""
_ID = re.compile(r"[a-z]+_[A-Za-z0-9_]{1,240}")
_TYPE = re.compile(r"[a-z0-9_.]{1,120}")
_VERSION = re.compile(r"[a-z0-9.-]{1,40}")
_LATEST = 253_402_300_800
"""The year 10,000, past which there are no times."""

logger = logging.getLogger(__name__)


class _NotOursError(Exception):
    """The event is about what another application has at Stripe."""


def receive(body: bytes, signature: str) -> StripeEvent:
    """Store an event that Stripe sent, if it is not stored, and return it.

    Raises: CrossWireError `too_large`; `invalid_input` for what Stripe did not send, or long ago, or in another mode.
    """
    if len(body) > MOST_BYTES:
        raise CrossWireError("too_large", "That is larger than any event of Stripe's.", limit=MOST_BYTES)
    if not gateway.verified(body, signature):
        raise invalid("The signature is missing, wrong or too old.")
    text = body.decode()  # which the signature was made over, so it is UTF-8
    event = _parsed(text)
    if event["livemode"] is not gateway.is_live():
        raise invalid(f"This is an event of the {'live' if event['livemode'] else 'test'} mode; the key is not.")
    version = str(event.get("api_version") or "")
    with writing():
        stored, _ = StripeEvent.objects.get_or_create(
            stripe_id=event["id"],
            defaults={
                "type": event["type"],
                "customer_stripe_id": _named(event["data"]["object"]),
                "api_version": version if _VERSION.fullmatch(version) else "",
                "livemode": event["livemode"],
                "payload": text,
                "created_at": datetime.fromtimestamp(event["created"], UTC),
            },
        )
    return stored


def handle(event: StripeEvent) -> None:
    """Handle an event unless that was done. Raises: whatever was in the way, which is stored with it."""
    if event.processed_at is not None:
        return
    try:
        note = _handled(event)
    except Exception as problem:
        with writing():
            StripeEvent.objects.filter(pk=event.pk, processed_at=None).update(
                attempts=F("attempts") + 1, problem=f"{type(problem).__name__}: {problem}"[:500].replace("\0", "")
            )
        raise
    with writing():
        StripeEvent.objects.filter(pk=event.pk, processed_at=None).update(
            processed_at=clock.now(), attempts=F("attempts") + 1, problem=note, payload=""
        )


def handle_waiting(older_than: timedelta = timedelta(minutes=2), most: int = 200) -> dict[str, int]:
    """Handle what is stored and was not, the least tried first, as long as Stripe answers; return how many went well
    and how many did not."""
    waiting = StripeEvent.objects.filter(processed_at=None, received_at__lte=clock.now() - older_than)
    done = {"handled": 0, "failed": 0}
    for event in waiting.order_by("attempts", "received_at", "pk")[:most]:  # what keeps failing holds up no other
        try:
            handle(event)
        except Exception as problem:  # whatever is wrong with this one hinders no other
            logger.exception("stripe_event_failed", extra={"event": event.stripe_id, "type": event.type})
            done["failed"] += 1
            if isinstance(problem, StripeAwayError):
                break  # the others would wait half a minute each; this one is their last the next time
        else:
            done["handled"] += 1
    return done


def prune() -> int:
    """Delete events that Stripe itself tells of no more, and return how many."""
    with writing():
        count, _ = StripeEvent.objects.filter(received_at__lt=clock.now() - KEPT).delete()
    return count


def _parsed(text: str) -> dict[str, Any]:
    """Return the event of a body. Raises: CrossWireError `invalid_input` when it is none."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or event.get("object") != "event" or not _is_whole(event):
        raise invalid("This is no event of Stripe's.")
    return event


def _is_whole(event: dict[str, Any]) -> bool:
    kind, created, data = event.get("type"), event.get("created"), event.get("data")
    return (
        _is_id(event.get("id"))
        and isinstance(kind, str)
        and _TYPE.fullmatch(kind) is not None
        and isinstance(created, int)
        and 0 <= created < _LATEST
        and isinstance(event.get("livemode"), bool)
        and isinstance(data, dict)
        and isinstance(data.get("object"), dict)
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _named(found: dict[str, Any]) -> str:
    """Return the id of the customer that an object is, or belongs to."""
    named = found.get("id") if found.get("object") == "customer" else found.get("customer")
    named = named.get("id") if isinstance(named, dict) else named
    return str(named) if _is_id(named) else ""


def _handled(event: StripeEvent) -> str:
    """Do what an event asks for; return a note about it, mostly ""."""
    handler = HANDLERS.get(event.type)
    if handler is None:
        return ""
    try:
        handler(json.loads(event.payload)["data"]["object"])
    except _NotOursError:
        return "It is about no customer of ours."
    ours = gateway.api_version()
    if event.api_version != ours:
        # Harmless, for what it is about was read again in our version; but an operator should know.
        logger.warning("stripe_event_of_another_version", extra={"version": event.api_version, "ours": ours})
        return f"{OTHER_VERSION} {event.api_version or '?'} of Stripe's API; this release speaks {ours}."
    return ""


def _ours(stripe_id: str) -> Customer:
    customer = Customer.objects.filter(stripe_id=stripe_id).first() if stripe_id else None
    if customer is None:
        raise _NotOursError
    return customer


def _customer(found: dict[str, Any]) -> None:
    """Something of a customer changed, or the customer itself: read all of it again."""
    refreshing.refresh(_ours(_named(found)))


def _refund(found: dict[str, Any]) -> None:
    """Money is given back."""
    refund = gateway.ask(lambda stripe: stripe.v1.refunds.retrieve(found["id"], {"expand": ["charge"]}))
    money_back.note_refund(_ours(_of_charge(refund)), refund)


def _charge(found: dict[str, Any]) -> None:
    """Money of a charge is given back: look at all of its refunds."""
    customer = _ours(_named(found))
    for refund in gateway.ask_all(lambda stripe: stripe.v1.refunds.list({"charge": found["id"], "limit": 100}), 100):
        money_back.note_refund(customer, refund)


def _dispute(found: dict[str, Any]) -> None:
    """A bank was asked to take a payment back."""
    dispute = gateway.ask(lambda stripe: stripe.v1.disputes.retrieve(found["id"], {"expand": ["charge"]}))
    money_back.note_dispute(_ours(_of_charge(dispute)), dispute)


def _of_charge(found: dict[str, Any]) -> str:
    charge = found.get("charge")
    return _named(charge) if isinstance(charge, dict) else ""


HANDLERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "checkout.session.completed": _customer,
    "checkout.session.async_payment_succeeded": _customer,
    "customer.updated": _customer,
    "customer.deleted": _customer,
    "customer.subscription.created": _customer,
    "customer.subscription.updated": _customer,
    "customer.subscription.pending_update_applied": _customer,
    "customer.subscription.pending_update_expired": _customer,
    "customer.subscription.deleted": _customer,
    "customer.subscription.paused": _customer,
    "customer.subscription.resumed": _customer,
    "subscription_schedule.updated": _customer,
    "subscription_schedule.released": _customer,
    "subscription_schedule.canceled": _customer,
    "invoice.finalized": _customer,
    "invoice.paid": _customer,
    "invoice.payment_failed": _customer,
    "invoice.payment_action_required": _customer,
    "invoice.voided": _customer,
    "invoice.marked_uncollectible": _customer,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refunded": _charge,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
}
"""What is done about each type of event that concerns us; the others are stored and that is all."""
