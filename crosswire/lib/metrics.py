"""What is counted for operators, in Prometheus' text format at `GET /metrics`.

Behind several worker processes PROMETHEUS_MULTIPROC_DIR (Prometheus' own variable) makes one answer for all of them.
"""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE", "RATES_UNCHECKED", "REQUESTS", "SECONDS", "exposition"]

REQUESTS = Counter("crosswire_requests", "Requests answered", ["surface", "status"])
SECONDS = Histogram(
    "crosswire_request_seconds",
    "Seconds from request to answer, waits included",
    ["surface"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 15, 60),
)
RATES_UNCHECKED = Counter("crosswire_rates_unchecked", "Calls let pass uncounted because Redis was away")


def exposition() -> bytes:
    """Return all figures as text."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types there
    return generate_latest(registry)
