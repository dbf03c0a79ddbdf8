"""Webhook storms: shuffled, doubled, late and partly failing, they come to what they come to in order."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Workspace
from billing import gateway, refreshing, subscribing, webhooks
from billing.demo.webhooks import signature
from billing.models import Customer, Happening, Invoice, StripeEvent, Subscription
from crosswire.lib.errors import CrossWireError
from tests.billing.payer import Payer
from tests.support.properties import tried

type Fault = Literal["", "stripe", "raises", "cut off before", "cut off after"]
FAULTS: tuple[Fault, ...] = ("stripe", "raises", "cut off before", "cut off after")
TOLD_BY_ANY_ORDER = ("subscribed", "ended", "paid", "refunded", "refund_failed", "dispute_opened", "dispute_closed")
"""What happened for good. What came and went again (a planned change, a grace) is told only if it was seen."""
SEEDS = st.integers(0, 2**32)
"""Of the dice: how many are thrown depends on what happens, which hypothesis cannot follow."""
_FIGURES = ("price_id", "plan", "interval", "amount", "status", "current_period_end", "cancel_at", "scheduled_plan")
_MORE = ("cancel_at_period_end", "scheduled_interval", "scheduled_at", "ended_at", "is_surplus", "schedule_id")


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Stripe that fails does so at once: to try again is what the events are for."""
    monkeypatch.setattr(gateway, "RETRIES", 0)


def state_of(payer: Payer) -> dict[str, Any]:
    """Return what there is to compare of a workspace."""
    customer = payer.customer
    subscriptions = Subscription.objects.filter(customer=customer).order_by("stripe_id")
    invoices = Invoice.objects.filter(customer=customer)
    told = Happening.objects.filter(customer=customer, kind__in=TOLD_BY_ANY_ORDER)
    return {
        "plan": payer.plan,
        "granted": customer.granted_plan,
        "method": customer.payment_method,
        "subscriptions": list(subscriptions.values_list("stripe_id", *_FIGURES, *_MORE)),
        "grace": [(each.grace_until is None, each.grace_ended_at is None) for each in subscriptions],
        "invoices": sorted(invoices.values_list("stripe_id", "status", "total", "amount_paid", "paid_at")),
        "told": sorted(told.values_list("kind", "about")),
    }


def forget(payer: Payer) -> None:
    """Have nothing known of a workspace but that it is a customer."""
    customer = payer.customer
    for model in (Subscription, Invoice, Happening):
        model.objects.filter(customer=customer).delete()
    Customer.objects.filter(pk=customer.pk).update(granted_plan="", payment_method="", read_applied=0, reads_begun=0)
    Workspace.objects.filter(pk=payer.workspace.pk).update(plan="free")


class Post:
    """Brings events as Stripe does, with what goes wrong on the way."""

    def __init__(self, payers: Sequence[Payer]) -> None:
        self.payers = payers
        self.stripe = payers[0].stripe
        self.stripe.webhooks(is_held=True)
        self._seen = {each["id"] for each in self.stripe.events()}
        self.events: list[dict[str, Any]] = []
        """What has happened so far, in order."""

    def collect(self) -> list[dict[str, Any]]:
        """Return what has happened since the last time; Stripe tells of it for 30 days."""
        new = [each for each in self.stripe.events() if each["id"] not in self._seen]
        self._seen |= {each["id"] for each in new}
        self.events += new
        return new

    def forget(self) -> None:
        """Have nothing known, and no event received."""
        StripeEvent.objects.filter(stripe_id__in=[each["id"] for each in self.events]).delete()
        for each in self.payers:
            forget(each)

    def bring(self, event: dict[str, Any], fault: Fault = "") -> bool:
        """Bring one event; return whether it was answered 200."""
        body = json.dumps(event).encode()
        stored = webhooks.receive(body, signature(self.stripe.webhook_secret, body, int(time.time())))
        if fault == "cut off before":
            return False
        with pytest.MonkeyPatch.context() as patch:
            if fault == "raises" and event["type"] in webhooks.HANDLERS:
                patch.setitem(webhooks.HANDLERS, event["type"], _broken)
            self.stripe.world.data["modes"]["outage"] = "500" if fault == "stripe" else ""
            try:
                webhooks.handle(stored)
            except (CrossWireError, RuntimeError):
                return False
            finally:
                self.stripe.world.data["modes"]["outage"] = ""
        if fault == "cut off after":
            StripeEvent.objects.filter(pk=stored.pk).update(processed_at=None, payload=body.decode())
            return False
        return True

    def bring_all(self, events: Iterable[dict[str, Any]]) -> None:
        """Bring events in this order, and nothing goes wrong."""
        for each in events:
            assert self.bring(each)

    def bring_badly(self, events: Iterable[dict[str, Any]], dice: random.Random) -> None:
        """Bring events in any order, some twice or thrice, some failing, until all have been answered 200."""
        waiting = [each for each in events for _ in range(dice.choice((1, 1, 1, 1, 2, 3)))]
        dice.shuffle(waiting)
        while waiting:
            event = waiting.pop()
            fault = dice.choice(FAULTS) if dice.random() < 0.3 else ""
            if not self.bring(event, fault):
                waiting.insert(dice.randrange(len(waiting) + 1), event)


def _broken(found: dict[str, Any]) -> None:
    raise RuntimeError("a fault of ours")


def live(payer: Payer, dice: random.Random) -> None:
    """Do something that somebody who pays may do, or that may happen to them."""
    act = dice.choice(ACTS)
    try:
        act(payer, dice)
    except CrossWireError:
        return  # not now


def _change(payer: Payer, dice: random.Random) -> None:
    wanted = dice.choice(("starter", "pro")), dice.choice(("month", "year"))
    for customer in Customer.objects.filter(workspace=payer.workspace):
        refreshing.refresh(customer)  # the page is about what is so, whichever events are on their way
    subscribing.change_plan(payer.workspace, payer.shown(*wanted), by=payer.email)


def _subscribe(payer: Payer, dice: random.Random) -> None:
    try:
        page = payer.open_checkout(dice.choice(("starter", "pro")), dice.choice(("month", "year")))
    except CrossWireError:
        return  # there is a subscription
    payer.stripe.pay(page)


def _miss(payer: Payer, dice: random.Random) -> None:
    payer.stripe.decline(times=-1)
    payer.stripe.advance(days=32)


def _money_back(payer: Payer, dice: random.Random) -> None:
    mine = [each for each in payer.stripe.world.all("charge") if each["customer"] == payer.customer.stripe_id]
    whole = [each["id"] for each in mine if each["paid"] and not each["amount_refunded"] and not each["disputed"]]
    if whole:
        payer.stripe.control(dice.choice(("refund", "dispute")), charge=dice.choice(whole))


ACTS: list[Callable[[Payer, random.Random], Any]] = [
    _change,
    _change,
    _subscribe,
    _miss,
    _money_back,
    lambda payer, dice: payer.stripe.recover(),
    lambda payer, dice: payer.stripe.advance(days=32),
    lambda payer, dice: subscribing.cancel(payer.workspace, by=payer.email),
    lambda payer, dice: subscribing.resume(payer.workspace, by=payer.email),
]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_hundred_events_in_any_order_come_to_what_they_come_to_in_order(
    new_payer: Callable[..., Payer],
) -> None:
    payers = [new_payer() for _ in range(5)]
    post, dice = Post(payers), random.Random(20261127)  # noqa: S311 - as below
    for each in payers:
        _subscribe(each, dice)
    while len(post.events) < 500:
        live(dice.choice(payers), dice)
        post.collect()
    for each in payers:
        _subscribe(each, dice)  # whose subscription has not ended is refused
    post.collect()
    post.forget()
    post.bring_all(post.events)
    in_order = [state_of(each) for each in payers]
    assert {each["plan"] for each in in_order} != {"free"}, "something is paid for in the end"

    @tried(2)
    @given(SEEDS)
    def storm(seed: int) -> None:
        post.forget()
        post.bring_badly(post.events, random.Random(seed))  # noqa: S311 - disorder, not secrecy
        assert [state_of(each) for each in payers] == in_order

    storm()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_events_that_come_late_and_badly_while_life_goes_on_come_to_the_same(new_payer: Callable[..., Payer]) -> None:
    @tried(10)
    @given(SEEDS)
    def life(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - as above
        payer = new_payer()
        post = Post([payer])
        waiting: list[dict[str, Any]] = []
        _subscribe(payer, dice)
        for _ in range(12):
            live(payer, dice)
            waiting += post.collect()
            dice.shuffle(waiting)
            now, waiting = waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]
            post.bring_badly(now, dice)
        post.bring_badly(waiting, dice)
        found = state_of(payer)
        post.forget()
        post.bring_all(post.events)
        assert state_of(payer) == found

    life()
