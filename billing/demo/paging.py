"""Lists of the API, a page at a time."""

from __future__ import annotations

from billing.demo.errors import invalid, missing
from billing.demo.world import Object, World


def page_of(world: World, found: list[Object], given: Object, url: str) -> Object:
    """Return one page of objects, newest first, as Stripe's lists are. Raises: ApiError."""
    limit = given.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100 (limit).", "limit", "parameter_invalid_integer")
    found = [each for each in reversed(found) if _is_in(each.get("created", 0), given.get("created", {}))]
    start, end = given.get("starting_after"), given.get("ending_before")
    places = {each["id"]: place for place, each in enumerate(found)}
    for name, mark in (("starting_after", start), ("ending_before", end)):
        if mark and mark not in places:
            raise missing("object", mark, name, is_address=False)
    if end:
        before = found[: places[end]]
        chosen, has_more = before[-limit:], len(before) > limit
    else:
        rest = found[places[start] + 1 :] if start else found
        chosen, has_more = rest[:limit], len(rest) > limit
    return {"object": "list", "url": url, "has_more": has_more, "data": [world.public(each) for each in chosen]}


def _is_in(moment: int, bounds: Object) -> bool:
    is_late_enough = moment > bounds.get("gt", -1) and moment >= bounds.get("gte", 0)
    return bool(is_late_enough and moment < bounds.get("lt", moment + 1) and moment <= bounds.get("lte", moment))
