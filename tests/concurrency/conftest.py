"""Servers that share this process's database, so that what they stored is looked at through the models."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.homes import Run
from tests.support.servers import ServerProcess

SEED_VARIABLE = "CROSSWIRE_TEST_SEED"
_SEED = pytest.StashKey[int]()


@pytest.fixture(scope="module")
def fleet(run: Run, database: None) -> Iterator[list[ServerProcess]]:
    """Two server processes on PostgreSQL, one on SQLite."""
    with ExitStack() as running:
        yield [running.enter_context(ServerProcess(run.home)) for _ in range(2 if run.kind == "postgres" else 1)]


@pytest.fixture(scope="module")
def pair(run: Run, database: None) -> Iterator[list[str]]:
    """Where two server processes are, on SQLite too."""
    with ExitStack() as running:
        yield [running.enter_context(ServerProcess(run.home)).url for _ in range(2)]


@pytest.fixture
def urls(fleet: list[ServerProcess]) -> list[str]:
    """Where the servers are."""
    return [server.url for server in fleet]


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What a test draws its chances from; shown when it fails, taken from CROSSWIRE_TEST_SEED when that is set."""
    chosen = int(os.environ.get(SEED_VARIABLE) or secrets.randbelow(10**9))
    request.node.stash[_SEED] = chosen
    return chosen


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Say how to run a failed test again with the same chances."""
    if call.excinfo is not None and _SEED in item.stash:
        item.add_report_section(call.when, "seed", f"{SEED_VARIABLE}={item.stash[_SEED]}")
