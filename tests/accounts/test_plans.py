from __future__ import annotations

import dataclasses

import pytest

from accounts import services
from accounts.models import Workspace
from accounts.plans import MEGABYTE, OVERRIDABLE, PLANS, Plan, plan_in_force
from crosswire.lib.errors import CrossWireError

FIGURES = ("price_month", "price_year", "messages", "instances", "channels", "data_bytes", "retention_days", "calls")


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("free", (0, 0, 100, 2, 3, MEGABYTE, 7, 120)),
        ("starter", (900, 9_000, 1_000, 5, 10, 10 * MEGABYTE, 30, 240)),
        ("pro", (2_900, 29_000, 10_000, None, None, 100 * MEGABYTE, 90, 1_200)),
        ("unlimited", (0, 0, None, None, None, None, None, None)),
    ],
)
def test_a_plan_has_the_figures_of_the_price_list(name: str, figures: tuple[int | None, ...]) -> None:
    assert tuple(getattr(PLANS[name], figure) for figure in FIGURES) == figures


def test_three_plans_are_offered_and_one_is_given_by_operators() -> None:
    assert list(PLANS) == ["free", "starter", "pro", "unlimited"]
    assert [plan.name for plan in PLANS.values() if plan.is_public] == ["free", "starter", "pro"]
    assert {plan.name: plan.title for plan in PLANS.values()} == {name: name.capitalize() for name in PLANS}


def test_waits_and_keys_are_bounded_too() -> None:
    assert {plan.name: plan.waits for plan in PLANS.values()} == {
        "free": 100,
        "starter": 100,
        "pro": 100,
        "unlimited": None,
    }
    assert {plan.name: plan.live_keys for plan in PLANS.values()} == {
        "free": 20,
        "starter": 100,
        "pro": 100,
        "unlimited": 100,
    }


def test_without_overrides_the_plan_is_as_it_is() -> None:
    assert plan_in_force("pro") is PLANS["pro"]
    assert plan_in_force("pro", {}) is PLANS["pro"]


@pytest.mark.parametrize("figure", sorted(OVERRIDABLE))
def test_an_override_replaces_a_single_figure_even_by_none_or_zero(figure: str) -> None:
    for value in (7, 0, None):
        changed = plan_in_force("starter", {figure: value})
        assert getattr(changed, figure) == value
        others = {field.name for field in dataclasses.fields(Plan)} - {figure}
        assert all(getattr(changed, other) == getattr(PLANS["starter"], other) for other in others)
    assert getattr(PLANS["starter"], figure) != 7


def test_prices_names_and_nonsense_cannot_be_overridden() -> None:
    assert plan_in_force("free", {"price_month": 1, "name": "pro", "is_public": False, "nonsense": 1}) == PLANS["free"]


def test_a_plan_that_is_not_there_is_no_plan() -> None:
    with pytest.raises(KeyError):
        plan_in_force("gold")
    before = Workspace.objects.count()
    with pytest.raises(CrossWireError) as refusal:
        services.create_workspace("acme", "gold")
    assert refusal.value.code == "invalid_input"
    assert "starter" in refusal.value.message
    assert Workspace.objects.count() == before


def test_a_year_costs_ten_months() -> None:
    assert all(plan.price_year == 10 * plan.price_month for plan in PLANS.values())
