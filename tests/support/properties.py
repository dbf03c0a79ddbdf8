"""How hard properties are tried: the same few examples each time, or with CROSSWIRE_TEST_DEEP=N N times as many."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

DEEP_VARIABLE = "CROSSWIRE_TEST_DEEP"
DEPTH = int(os.environ.get(DEEP_VARIABLE, "0"))


def tried(examples: int, *, steps: int = 0) -> settings:
    """Return settings for so many examples; fresh ones each time where depth is asked for.

    `steps` is for state machines: what fails there is told as it was found, for to shorten it takes minutes.
    """
    is_quick = bool(steps) and not DEPTH
    return settings(
        max_examples=examples * max(1, DEPTH),
        stateful_step_count=steps or 50,
        phases=(Phase.explicit, Phase.generate, *(() if is_quick else (Phase.shrink,))),
        derandomize=not DEPTH,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
