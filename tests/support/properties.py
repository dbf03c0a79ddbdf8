"""How hard properties are tried: the same few examples each time, or with CROSSWIRE_TEST_DEEP=N N times as many."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

DEEP_VARIABLE = "CROSSWIRE_TEST_DEEP"
DEPTH = int(os.environ.get(DEEP_VARIABLE, "0"))


def tried(examples: int, steps: int = 50) -> settings:
    """Return settings for so many examples; fresh ones each time where depth is asked for."""
    return settings(
        max_examples=examples * max(1, DEPTH),
        stateful_step_count=steps,
        derandomize=not DEPTH,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
