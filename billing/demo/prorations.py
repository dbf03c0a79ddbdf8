"""What a change in the middle of a period costs: credit for time not used, and time left at the new price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from billing.demo.errors import invalid
from billing.demo.forms import merged
from billing.demo.invoices import line
from billing.demo.periods import end_after, share
from billing.demo.world import Object, World


@dataclass(frozen=True)
class Change:
    """How a change is billed (`always_invoice`, `create_prorations`, `none`) and from when on, in seconds."""

    behavior: str
    at: int
    is_anchored_now: bool = False


def date(world: World, subscription: Object, given: Object, param: str = "proration_date") -> int:
    """Return from when on a change is billed. Raises: ApiError for a time outside of the running period."""
    at: int = given.get("proration_date") or world.now()
    item = subscription["items"]["data"][0]
    if given.get("proration_date") and not item["current_period_start"] <= at < item["current_period_end"]:
        raise invalid("The proration date must be within the current subscription period.", param)
    return at


def money(amount: int, currency: str = "usd") -> str:
    """Return an amount as people read it, such as `$9.00`."""
    sign = "-" if amount < 0 else ""
    figure = f"{abs(amount) // 100:,}.{abs(amount) % 100:02}"
    return f"{sign}${figure}" if currency == "usd" else f"{sign}{figure} {currency.upper()}"


def whole_period(world: World, subscription: Object, item: Object) -> Object:
    """Return the line that bills an item for its current period."""
    price = world.get("price", item["price"])
    each = money(price["unit_amount"], price["currency"])
    name = world.get("product", price["product"])["name"]
    return line(
        world,
        price,
        price["unit_amount"] * item["quantity"],
        (item["current_period_start"], item["current_period_end"]),
        f"{item['quantity']} × {name} (at {each} / {price['recurring']['interval']})",
        subscription=subscription["id"],
        item=item["id"],
        quantity=item["quantity"],
        metadata=dict(subscription["metadata"]),
    )


def _part(world: World, subscription: Object, item: Object, at: int, *, is_credit: bool) -> Object:
    """Return the line for an item's time that is left, as credit or to be paid."""
    price = world.get("price", item["price"])
    start, end = item["current_period_start"], item["current_period_end"]
    amount = share(price["unit_amount"] * item["quantity"], end - at, end - start)
    name = world.get("product", price["product"])["name"]
    day = datetime.fromtimestamp(at, UTC).strftime("%d %b %Y")
    return line(
        world,
        price,
        -amount if is_credit else amount,
        (at, end),
        f"{'Unused' if is_credit else 'Remaining'} time on {name} after {day}",
        subscription=subscription["id"],
        item=item["id"],
        quantity=item["quantity"],
        is_proration=True,
        metadata=dict(subscription["metadata"]),
    )


def unused(world: World, subscription: Object, at: int) -> list[Object]:
    """Return the lines that give back what every item will not use."""
    return [
        _part(world, subscription, item, at, is_credit=True)
        for item in subscription["items"]["data"]
        if item["current_period_start"] <= at < item["current_period_end"]
    ]


def apply(world: World, subscription: Object, given: list[Object], change: Change) -> tuple[list[Object], bool]:
    """Put other prices or quantities into a subscription; return the lines for it, and whether they are billed now."""
    lines: list[Object] = []
    is_new_cycle = False
    for wanted in given:
        item = _item(subscription, wanted)
        price = world.named("price", wanted.get("price") or item["price"], "items[0][price]")
        old = world.get("price", item["price"])
        quantity = wanted.get("quantity", item["quantity"])
        item["metadata"] = merged(item["metadata"], wanted.get("metadata"))
        if (price["id"], quantity) == (item["price"], item["quantity"]) and not change.is_anchored_now:
            continue
        if not price["recurring"] or not price["active"]:
            raise invalid("This field only accepts active recurring prices.", "items[0][price]")
        is_anew = change.is_anchored_now or cycle(old) != cycle(price)
        if change.behavior != "none":
            lines.append(_part(world, subscription, item, change.at, is_credit=True))
        item.update(price=price["id"], quantity=quantity)
        if is_anew:
            is_new_cycle = True
            _restart(world, subscription, item)
            lines.append(whole_period(world, subscription, item))
        elif change.behavior != "none":
            lines.append(_part(world, subscription, item, change.at, is_credit=False))
    return lines, bool(lines) and (is_new_cycle or change.behavior == "always_invoice")


def _item(subscription: Object, wanted: Object) -> Object:
    """Return the item that a change means. Raises: ApiError, for adding or removing items as well."""
    items: list[Object] = subscription["items"]["data"]
    if wanted.get("deleted") or not wanted.get("id"):
        raise invalid("Demo payments keep one item a subscription: name it (items[0][id]) and change it.", "items")
    found = next((item for item in items if item["id"] == wanted["id"]), None)
    if found is None:
        raise invalid(f"No such subscription item: '{wanted['id']}'", "items[0][id]", "resource_missing")
    return found


def cycle(price: Object) -> tuple[str, int]:
    """Return how long a period at a price is: an interval, and how many of it."""
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def _restart(world: World, subscription: Object, item: Object) -> None:
    """Begin a new period now, as a change of the interval does."""
    now = world.now()
    interval, count = cycle(world.get("price", item["price"]))
    subscription["billing_cycle_anchor"] = now
    item.update(current_period_start=now, current_period_end=end_after(now, interval, count, now))


def keep_pending(world: World, subscription: Object, lines: list[Object]) -> None:
    """Keep lines for the subscription's next invoice."""
    if lines:
        subscription.setdefault("_pending", []).extend(lines)
        world.touch()


def take_pending(world: World, subscription: Object) -> list[Object]:
    """Return the kept lines, which are kept no longer."""
    pending: list[Object] = subscription.pop("_pending", [])
    return pending
