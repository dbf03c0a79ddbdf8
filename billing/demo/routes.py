"""What an address of the API means: its parameters and who answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from billing.demo.forms import PAGE, Spec, created_range
from billing.demo.paging import page_of
from billing.demo.world import Object, World


@dataclass(frozen=True)
class Route:
    """One method and address. `answer` gets the world, the parameters and the ids in the address."""

    method: str
    path: str
    answer: Callable[..., Object]
    spec: Spec = field(default_factory=dict)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The address as a regular expression."""
        return re.compile(re.sub(r"\{\w+\}", r"([\\w-]+)", self.path))


NOT_BY_TIME = ("billing_portal.configuration", "payment_method", "webhook_endpoint")
"""Kinds whose lists Stripe does not filter by `created`."""


def retrieving(kind: str, path: str) -> Route:
    """Return the route that reads one object."""

    def retrieve(world: World, given: Object, identifier: str) -> Object:
        return world.get(kind, identifier)

    return Route("GET", f"{path}/{{id}}", retrieve)


def listing(kind: str, path: str, spec: Spec, is_wanted: Callable[[Object, Object], bool] | None = None) -> Route:
    """Return the route that lists a kind of objects. `is_wanted(object, parameters)` filters; deleted ones are out."""

    def answer(world: World, given: Object) -> Object:
        found = [each for each in world.all(kind) if not each.get("deleted")]
        return page_of(world, [each for each in found if is_wanted is None or is_wanted(each, given)], given, path)

    by_time = {} if kind in NOT_BY_TIME else {"created": created_range}
    return Route("GET", path, answer, {**PAGE, **by_time, **spec})


def same(*names: str) -> Callable[[Object, Object], bool]:
    """Return a filter by equal fields."""

    def is_wanted(found: Object, given: Object) -> bool:
        return all(found.get(name) == given[name] for name in names if given.get(name) is not None)

    return is_wanted


def copied(target: Object, given: Object, *names: str) -> None:
    """Put parameters into fields of the same names."""
    target.update({name: given[name] for name in names if name in given})


def whole_address(given: Any) -> Object | None:
    """Return an address with all its fields, None for none."""
    return {name: given.get(name) for name in ADDRESS} if given else None


ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
