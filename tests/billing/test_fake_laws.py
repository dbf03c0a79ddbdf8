"""Laws of the stand-in that hold whatever happens in it, tried with random lives of one customer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from billing.demo import api, control
from billing.demo.world import Object, World
from tests.support import stripe_types
from tests.support.stripe_shop import PRICES

DAY = 86_400
CARDS = ("pm_card_visa", "pm_card_chargeCustomerFail")
STEPS = some.one_of(
    some.tuples(some.just("pass"), some.sampled_from([1, 3 * DAY, 12 * DAY, 31 * DAY, 400 * DAY])),
    some.tuples(some.just("switch"), some.sampled_from(sorted(PRICES))),
    some.tuples(some.just("schedule"), some.sampled_from(sorted(PRICES))),
    some.tuples(some.just("ending"), some.booleans()),
    some.tuples(some.just("card"), some.sampled_from(CARDS)),
    some.tuples(some.just("decline"), some.sampled_from([0, 1, -1])),
    some.tuples(some.just("begin"), some.sampled_from(sorted(PRICES))),
    some.tuples(some.just("refund"), some.just(0)),
    some.tuples(some.just("release"), some.just(0)),
    some.tuples(some.just("cancel"), some.just(0)),
)


class Life:
    """One customer in a world of its own, asked without HTTP. What Stripe would refuse is refused, and goes on."""

    def __init__(self) -> None:
        self.world = World(None, "http://127.0.0.1", None)
        product = self.ask("POST", "/v1/products", "name=Plan")["id"]
        self.prices = {
            key: self.ask(
                "POST",
                "/v1/prices",
                f"product={product}&currency=usd&unit_amount={amount}&recurring[interval]={interval}",
            )["id"]
            for key, (amount, interval) in PRICES.items()
        }
        self.customer = self.ask("POST", "/v1/customers", "name=Ada")["id"]

    def ask(self, method: str, path: str, body: str = "") -> Object:
        """Return the answer to a request, an error as well."""
        headers = {"authorization": f"Bearer {self.world.data['key']}"}
        done = api.answer(self.world, api.Request(method, path, "", headers, body.encode()))
        assert done.status < 500, done.body
        return dict(orjson.loads(done.body))

    def control(self, action: str, **given: Any) -> None:
        with self.world.transaction():
            control.ACTIONS[action](self.world, given)

    @property
    def latest(self) -> Object:
        """The newest subscription, or one that is not there."""
        return (self.world.all("subscription") or [{"id": "sub_none", "schedule": None, "items": {"data": []}}])[-1]

    def do(self, step: str, value: Any) -> None:
        steps: dict[str, Callable[[Any], object]] = {
            "pass": lambda seconds: self.control("advance", seconds=seconds),
            "decline": lambda times: self.control("decline", times=times),
            "switch": self.switch,
            "schedule": self.schedule,
            "ending": lambda is_ending: self.update(f"cancel_at_period_end={str(is_ending).lower()}"),
            "card": self.card,
            "begin": self.begin,
            "refund": self.refund,
            "release": lambda _: self.ask("POST", f"/v1/subscription_schedules/{self.latest['schedule']}/release"),
            "cancel": lambda _: self.ask("DELETE", f"/v1/subscriptions/{self.latest['id']}"),
        }
        steps[step](value)

    def update(self, body: str) -> Object:
        return self.ask("POST", f"/v1/subscriptions/{self.latest['id']}", body)

    def switch(self, price: str) -> None:
        for item in self.latest["items"]["data"]:
            how = "always_invoice" if price.startswith("pro") else "create_prorations"
            self.update(f"items[0][id]={item['id']}&items[0][price]={self.prices[price]}&proration_behavior={how}")

    def schedule(self, price: str) -> None:
        made = self.ask("POST", "/v1/subscription_schedules", f"from_subscription={self.latest['id']}")
        if "error" in made:
            return
        phase = made["phases"][0]
        self.ask(
            "POST",
            f"/v1/subscription_schedules/{made['id']}",
            f"phases[0][start_date]={phase['start_date']}&phases[0][end_date]={phase['end_date']}"
            f"&phases[0][items][0][price]={phase['items'][0]['price']}&phases[1][items][0][price]={self.prices[price]}",
        )

    def card(self, token: str) -> None:
        method = self.ask("POST", f"/v1/payment_methods/{token}/attach", f"customer={self.customer}")["id"]
        self.ask("POST", f"/v1/customers/{self.customer}", f"invoice_settings[default_payment_method]={method}")

    def begin(self, price: str) -> None:
        if self.latest.get("status") in (None, "canceled", "incomplete_expired"):
            self.ask("POST", "/v1/subscriptions", f"customer={self.customer}&items[0][price]={self.prices[price]}")

    def refund(self, _: object) -> None:
        for charge in self.world.all("charge")[-1:]:
            self.ask("POST", "/v1/refunds", f"charge={charge['id']}&amount=100")


def broken(world: World) -> Iterator[str]:
    """Yield every law that does not hold."""
    for invoice in world.all("invoice"):
        yield from _broken_invoice(world, invoice)
    for subscription in world.all("subscription"):
        yield from _broken_subscription(world, subscription)
    for kind in ("customer", "subscription", "subscription_schedule", "invoice"):
        yield from _untold(world, kind)


def odd(world: World) -> Iterator[str]:
    """Yield what the SDK's types do not allow."""
    for kind in world.data["objects"]:
        for each in world.all(kind):
            yield from stripe_types.problems(world.public(each))


def _broken_invoice(world: World, invoice: Object) -> Iterator[str]:
    lines = invoice["lines"]["data"]
    taken = [each for each in world.all("invoice_payment") if each["invoice"] == invoice["id"]]
    intents = [world.get("payment_intent", each["payment"]["payment_intent"]) for each in taken]
    laws = {
        "its lines add up": sum(line["amount"] for line in lines) == invoice["total"],
        "nothing is due twice": invoice["amount_paid"] + invoice["amount_remaining"] == invoice["amount_due"],
        "paid is paid": invoice["status"] != "paid" or invoice["amount_remaining"] == 0,
        "what was paid was taken": invoice["amount_paid"] == sum(each["amount_received"] for each in intents),
        "a number from the start of collecting": (invoice["number"] is None) == (invoice["status"] == "draft"),
        "one attempt is one charge": invoice["attempt_count"]
        >= sum(each["payment_intent"] in {intent["id"] for intent in intents} for each in world.all("charge")),
        "what is over is tried no more": invoice["status"] in ("open", "draft") or not invoice["next_payment_attempt"],
    }
    yield from (f"{invoice['id']}: {law}" for law, holds in laws.items() if not holds)


def _broken_subscription(world: World, subscription: Object) -> Iterator[str]:
    [item] = subscription["items"]["data"]
    is_over = subscription["status"] in ("canceled", "incomplete_expired")
    laws = {
        "what is over has ended": is_over == (subscription["ended_at"] is not None),
        "the period is now": is_over or item["current_period_start"] <= world.now() < item["current_period_end"],
        "what is over has no schedule": not is_over or subscription["schedule"] is None,
        "an end is planned in full": subscription["cancel_at_period_end"] <= bool(subscription["cancel_at"]),
        "what ends is not scheduled": not (subscription["schedule"] and subscription["cancel_at_period_end"]),
    }
    yield from (f"{subscription['id']}: {law}" for law, holds in laws.items() if not holds)


def _untold(world: World, kind: str) -> Iterator[str]:
    """Yield the objects whose latest event, if it is remembered, does not show them as they are."""
    told = {
        event["data"]["object"]["id"]: event["data"]["object"]
        for event in world.all("event")
        if event["data"]["object"]["object"] == kind
    }
    for each in world.all(kind):
        if each["id"] in told and told[each["id"]] != world.public(each):
            yield f"{each['id']}: nobody was told"


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.lists(STEPS, min_size=1, max_size=12))
def test_the_laws_hold_whatever_happens(steps: list[tuple[str, Any]]) -> None:
    life = Life()
    life.do("card", "pm_card_visa")
    life.do("begin", "starter_month")
    for step in steps:
        life.do(*step)
        assert list(broken(life.world)) == []
    assert list(odd(life.world)) == []
