"""What happens by itself as time passes: renewals, collecting, retries, ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from billing.demo import checkout, collecting, invoices, pending, previews, schedules, subscriptions
from billing.demo.world import DAY, Object, World

UPCOMING_DAYS = 7
"""How many days before a renewal its invoice is announced."""
LIVING = ("active", "past_due", "unpaid")

type Step = tuple[int, Callable[[], None]]


def catch_up(world: World) -> None:
    """Do everything that was due by now, in the order of its times."""
    until = world.now()
    while (step := min(_due(world), key=lambda each: each[0], default=None)) and step[0] <= until:
        with world.at(step[0]):
            step[1]()
        world.touch()


def is_due(world: World) -> bool:
    """Return whether anything waits to be done."""
    now = world.now()
    return any(at <= now for at, _ in _due(world))


def advance(world: World, seconds: int) -> None:
    """Move the clock forward and do what was due meanwhile."""
    world.data["offset"] += seconds
    world.touch()
    catch_up(world)


def _due(world: World) -> Iterator[Step]:
    """Yield what comes next of everything that waits for its time."""
    for session in world.all("checkout.session"):
        if session["status"] == "open":
            yield session["expires_at"], partial(_expire, world, session)
    for invoice in world.all("invoice"):
        if invoice["status"] == "draft" and invoice["automatically_finalizes_at"]:
            yield invoice["automatically_finalizes_at"], partial(_finalize, world, invoice)
        elif invoice["status"] == "open" and invoice["next_payment_attempt"]:
            yield invoice["next_payment_attempt"], partial(_retry, world, invoice)
    for subscription in world.all("subscription"):
        yield from _due_of(world, subscription)


def _due_of(world: World, subscription: Object) -> Iterator[Step]:
    if subscription["status"] == "incomplete":
        at = subscription["created"] + subscriptions.INCOMPLETE_SECONDS
        yield at, partial(_end, world, subscription, None)
    if subscription["status"] not in LIVING:
        return
    if subscription["pending_update"]:
        yield subscription["pending_update"]["expires_at"], partial(_give_up_update, world, subscription)
    start, end = subscriptions.period_of(subscription)
    if subscription["cancel_at"]:
        yield subscription["cancel_at"], partial(_end, world, subscription, "cancellation_requested")
    if (moment := schedules.next_change(world, subscription)) is not None:
        yield moment, partial(schedules.move_on, world, subscription)
    yield end, partial(subscriptions.renew, world, subscription)
    announced_at = end - UPCOMING_DAYS * DAY
    if subscription.get("_announced") != end and announced_at > start and not subscription["cancel_at"]:
        yield announced_at, partial(_announce, world, subscription, end)


def _expire(world: World, session: Object) -> None:
    checkout.expire(world, {}, session["id"])


def _finalize(world: World, invoice: Object) -> None:
    invoices.finalize(world, invoice)
    collecting.collect(world, invoice)


def _retry(world: World, invoice: Object) -> None:
    collecting.collect(world, invoice, is_scheduled=invoice["attempt_count"] > 0)


def _end(world: World, subscription: Object, reason: str | None) -> None:
    collecting.end(world, subscription, reason)


def _give_up_update(world: World, subscription: Object) -> None:
    invoice = pending.invoice_of(world, subscription)
    invoices.give_up(world, invoice, "void")
    pending.drop(world, invoice)


def _announce(world: World, subscription: Object, end: int) -> None:
    subscription["_announced"] = end
    world.emit("invoice.upcoming", previews.renewal(world, subscription))
