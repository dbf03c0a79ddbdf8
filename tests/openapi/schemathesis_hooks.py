"""Loaded by schemathesis: keeps calls to what a schema cannot tell, and short."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import schemathesis

MOST_SECONDS = 0.02


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Shorten a wait that would be one, put two times in order; what is refused stays as it is."""
    _shorten_wait(case.query or {})
    _order_times(case.query or {})


def _shorten_wait(query: dict[str, Any]) -> None:
    try:
        is_long = float(query["wait"]) > MOST_SECONDS
    except (KeyError, TypeError, ValueError):
        return
    if is_long:
        query["wait"] = MOST_SECONDS


def _order_times(query: dict[str, Any]) -> None:
    try:
        is_swapped = datetime.fromisoformat(query["since"]) > datetime.fromisoformat(query["until"])
    except (KeyError, TypeError, ValueError):
        return
    if is_swapped:
        query["since"], query["until"] = query["until"], query["since"]
