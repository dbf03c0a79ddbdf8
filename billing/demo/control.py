"""What only a demo can do: move time, decline cards, lose webhooks, play an outage, dispute a charge."""

from __future__ import annotations

from collections.abc import Callable

from billing.demo import billing_routes, collecting, invoices, lifecycle, webhooks
from billing.demo.errors import invalid
from billing.demo.world import DAY, Object, World

OUTAGES = ("", "500", "429", "refuse", "slow")
UNTIL_TOLD = -1


def state(world: World, given: Object) -> Object:
    """Return what is there, in figures."""
    return {
        "now": world.now(),
        "offset": world.data["offset"],
        "modes": world.data["modes"],
        "webhooks": world.data["webhooks"],
        "deliveries": world.data["deliveries"],
        "objects": {kind: len(found) for kind, found in world.data["objects"].items()},
    }


def advance(world: World, given: Object) -> Object:
    """Move time forward by `seconds` and `days`."""
    seconds = int(given.get("seconds", 0)) + round(float(given.get("days", 0)) * DAY)
    if not 0 <= seconds <= 3_660 * DAY:
        raise invalid("Time moves forward, by ten years at the most.", "seconds")
    lifecycle.advance(world, seconds)
    return state(world, {})


def decline(world: World, given: Object) -> Object:
    """Let the next `times` payments fail, whatever the card; -1: all until told otherwise."""
    world.data["modes"]["declines"] = int(given.get("times", 1))
    world.touch()
    return state(world, {})


def recover(world: World, given: Object) -> Object:
    """Let payments work again and try every open invoice at once."""
    world.data["modes"]["declines"] = 0
    world.touch()
    for invoice in world.all("invoice"):
        if invoice["status"] == "open" and invoice["auto_advance"]:
            collecting.collect(world, invoice)
    return state(world, {})


def outage(world: World, given: Object) -> Object:
    """Play an outage of the API: `500`, `429`, `refuse` (connections break), `slow` (30 s), or none (``)."""
    kind = str(given.get("kind", ""))
    if kind not in OUTAGES:
        raise invalid(f"kind is one of {', '.join(map(repr, OUTAGES))}.", "kind")
    world.data["modes"]["outage"] = kind
    world.touch()
    return state(world, {})


def last_retry(world: World, given: Object) -> Object:
    """Choose what happens after the last retry: `cancel`, `unpaid` or `past_due`."""
    chosen = given.get("then")
    if chosen not in collecting.AFTER_LAST_RETRY:
        raise invalid(f"then is one of {', '.join(collecting.AFTER_LAST_RETRY)}.", "then")
    world.data["modes"]["after_last_retry"] = chosen
    world.touch()
    return state(world, {})


def deliveries(world: World, given: Object) -> Object:
    """Choose how webhooks go: `copies`, `is_shuffled`, `is_held`, `drop` (types, or "*")."""
    known = world.data["webhooks"]
    for name, value in given.items():
        if name not in known or type(value) is not type(known[name]):
            raise invalid(f"There is no such way of delivery: {name}", name)
        known[name] = value
    world.touch()
    return state(world, {})


def replay(world: World, given: Object) -> Object:
    """Deliver an event again (`event`), or all of them."""
    chosen = [given["event"]] if given.get("event") else [each["id"] for each in world.all("event")]
    for event_id in chosen:
        webhooks.replay(world, event_id)
    return state(world, {})


def refund(world: World, given: Object) -> Object:
    """Give back what an invoice or charge took, whole or `amount` of it."""
    return billing_routes.refund(world, {"charge": _charge(world, given)["id"], **_only(given, "amount", "reason")})


def dispute(world: World, given: Object) -> Object:
    """Open a dispute about what an invoice or charge took."""
    return billing_routes.open_dispute(world, _charge(world, given), **_only(given, "reason"))


def close_dispute(world: World, given: Object) -> Object:
    """Close a dispute; `is_won`: for us."""
    found = world.get("dispute", str(given.get("dispute")))
    return billing_routes.close_dispute(world, found, is_won=bool(given.get("is_won")))


def _only(given: Object, *names: str) -> Object:
    return {name: given[name] for name in names if name in given}


def _charge(world: World, given: Object) -> Object:
    if given.get("charge"):
        return world.get("charge", given["charge"])
    invoice = world.get("invoice", str(given.get("invoice")))
    intent = invoices.intent_of(world, invoice)
    return world.get("charge", str((intent or {}).get("latest_charge")))


ACTIONS: dict[str, Callable[[World, Object], Object]] = {
    "state": state,
    "advance": advance,
    "decline": decline,
    "recover": recover,
    "outage": outage,
    "last_retry": last_retry,
    "webhooks": deliveries,
    "replay": replay,
    "refund": refund,
    "dispute": dispute,
    "close_dispute": close_dispute,
}
