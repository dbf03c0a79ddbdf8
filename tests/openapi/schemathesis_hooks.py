"""Loaded by schemathesis: nobody waits long for messages while calls are made by the hundred."""

from __future__ import annotations

from typing import Any

import schemathesis

MOST_SECONDS = 0.02


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Shorten a wait that would be one; what is refused stays as it is."""
    try:
        is_long = float(case.query["wait"]) > MOST_SECONDS
    except (KeyError, TypeError, ValueError):
        return
    if is_long:
        case.query["wait"] = MOST_SECONDS
