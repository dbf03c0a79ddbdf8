"""What choosing a plan would do, for every way a workspace can stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts.plans import PLANS
from billing import offers
from billing.offers import Step
from billing.standing import Scheduled, Standing
from crosswire.lib import clock

FREE, STARTER, PRO, UNLIMITED = PLANS.values()
SOON = clock.now() + timedelta(days=9)
NOTHING_PAID = Standing(FREE, is_configured=True)
ON_STARTER = Standing(
    STARTER, paid=STARTER, interval="month", amount=900, status="active", renews_at=SOON, is_configured=True
)
ON_PRO = replace(ON_STARTER, plan=PRO, paid=PRO, interval="year")
OWING = replace(ON_PRO, status="past_due", grace_until=SOON)
ENDING = replace(ON_PRO, cancels_at=SOON)
CHANGING = replace(ON_PRO, scheduled=Scheduled(STARTER, "month", SOON))


def steps(standing: Standing, interval: str = "month") -> list[str]:
    """Return what choosing Free, Starter and Pro would do."""
    return [each.step.value for each in offers.offers(standing, interval)]


@pytest.mark.parametrize(
    ("standing", "interval", "expected"),
    [
        (NOTHING_PAID, "month", ["", "checkout", "checkout"]),
        (NOTHING_PAID, "year", ["", "checkout", "checkout"]),
        (replace(NOTHING_PAID, is_configured=False), "month", ["", "", ""]),
        (replace(NOTHING_PAID, plan=STARTER, is_given=True), "month", ["", "", "checkout"]),
        (replace(NOTHING_PAID, plan=UNLIMITED, is_given=True), "month", ["", "", ""]),
        (ON_STARTER, "month", ["cancel", "", "up"]),
        (ON_STARTER, "year", ["cancel", "up", "up"]),
        (ON_PRO, "year", ["cancel", "down", ""]),
        (ON_PRO, "month", ["cancel", "down", "down"]),
        (OWING, "month", ["cancel", "", ""]),
        (replace(OWING, plan=FREE, is_lapsed=True), "month", ["cancel", "", ""]),
        (ENDING, "year", ["", "down", "stay"]),
        (CHANGING, "month", ["cancel", "", "down"]),
        (CHANGING, "year", ["cancel", "down", "stay"]),
        (replace(ON_PRO, paid=None), "month", ["cancel", "up", "up"]),
    ],
)
def test_every_standing_has_its_steps(standing: Standing, interval: str, expected: list[str]) -> None:
    assert steps(standing, interval) == expected


def test_a_button_says_what_it_does() -> None:
    verbs = {
        (each.plan.name, interval, each.verb)
        for interval in ("month", "year")
        for each in offers.offers(ON_STARTER, interval)
        if each.step is not Step.NOTHING
    }
    assert verbs == {
        ("free", "month", "Cancel the subscription"),
        ("free", "year", "Cancel the subscription"),
        ("starter", "year", "Pay Starter yearly"),
        ("pro", "month", "Upgrade to Pro"),
        ("pro", "year", "Upgrade to Pro"),
    }


def test_what_is_in_force_and_what_is_paid_for_are_told_apart() -> None:
    lapsed = replace(OWING, plan=FREE, is_lapsed=True)
    assert [(each.is_current, each.is_paid_for) for each in offers.offers(lapsed, "year")] == [
        (True, False),
        (False, False),
        (False, True),
    ]


def test_the_year_is_told_with_what_it_saves() -> None:
    _, starter, pro = offers.offers(NOTHING_PAID, "year")
    assert (starter.price, starter.months_free, pro.price, pro.months_free) == (90, 2, 290, 2)
    assert [each.months_free for each in offers.offers(NOTHING_PAID, "month")] == [0, 0, 0]
