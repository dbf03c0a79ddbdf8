"""The soak draws its chances from a seed, as the tests of concurrency do."""

from __future__ import annotations

from tests.concurrency.conftest import pytest_runtest_makereport, seed

__all__ = ["pytest_runtest_makereport", "seed"]
