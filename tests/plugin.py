"""What pytest has to know before Django reads its settings; loaded by `-p tests.plugin` in pyproject.toml."""

from __future__ import annotations

import re
import signal
import threading

import pytest

from tests.support.databases import CannotStart
from tests.support.homes import Run

RUN = pytest.StashKey[Run]()
"""Where the config keeps the run; tests use the fixture `run`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--home` and `--every-surface`."""
    group = parser.getgroup("crosswire")
    group.addoption(
        "--every-surface",
        action="store_true",
        help="test over every surface here, not over one of each two that are alike and over the other on another home",
    )
    group.addoption(
        "--home",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="what the product runs on: SQLite and everything in process, or PostgreSQL and Redis",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Choose the database before pytest-django loads the settings."""
    options = early_config.known_args_namespace
    try:
        run = Run.join("sqlite" if options.help or options.version else options.home)
    except CannotStart as problem:
        raise pytest.UsageError(str(problem)) from None
    early_config.stash[RUN] = run
    early_config.add_cleanup(run.leave)
    if run.is_ours and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` and CI send it: clean up as on Ctrl-C
    run.home.enter()


BOTH_HOMES = (
    "tests/accounts",
    "tests/billing/test_closing.py",
    "tests/billing/test_reconciling.py",
    "tests/billing/test_storm.py",
    "tests/billing/test_webhooks.py",
    "tests/billing/test_worker.py",
    "tests/bus",
    "tests/properties",
    "tests/isolation",
    "tests/concurrency",
    "tests/soak",
    "tests/stdio",
    "tests/crosswire/test_jobs.py",
    "tests/lib/test_rates.py",
    "tests/mcp/test_story.py",
    "tests/mcp/test_listen.py",
    "tests/architecture/test_migrations.py",
    "tests/test_harness.py",
)
"""What PostgreSQL and Redis could change, and what a run there is when no paths are given; the rest is the same on
either home and runs once, on SQLite."""

TWINS = {"lane": "drf", "mcp-2026-07-28": "mcp-2025-11-25"}
"""Surfaces above the same operations, which the database cannot part. What runs on both homes runs over one of each two
on each: over the first ones on PostgreSQL, over the second ones on SQLite."""
_TWIN_OF = TWINS | {second: first for first, second in TWINS.items()}


def surfaces_left_to_others(kind: str) -> frozenset[str]:
    """Return over which surfaces the other home tests what runs on both."""
    return frozenset(TWINS if kind == "sqlite" else TWINS.values())


def pytest_configure(config: pytest.Config) -> None:
    """Without paths, run on PostgreSQL what it could change."""
    if config.stash[RUN].kind == "postgres" and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        config.args = list(BOTH_HOMES)


@pytest.hookimpl(trylast=True)  # what `-k` and `-m` leave out is no reason to leave out its twin
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as another home's, and the surfaces over which another home tests the same."""
    kind = config.stash[RUN].kind
    elsewhere = [item for item in items if (home := item.get_closest_marker("home")) and home.args != (kind,)]
    if not config.option.every_surface:
        names = {item.nodeid for item in items}
        others = surfaces_left_to_others(kind)
        elsewhere += [item for item in items if _surface(item) in others and _twin(item) in names]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        left_out = set(elsewhere)
        items[:] = [item for item in items if item not in left_out]


def _surface(item: pytest.Item) -> str | None:
    """Return over which surface a test of both homes runs; None when that is not what parts it from its like."""
    if not item.nodeid.startswith(BOTH_HOMES) or item.get_closest_marker("home"):
        return None
    callspec = getattr(item, "callspec", None)
    chosen = [value for value in (callspec.params.values() if callspec else ()) if isinstance(value, str)]
    found = [value for value in chosen if value in _TWIN_OF]
    return found[0] if len(found) == 1 else None


def _twin(item: pytest.Item) -> str:
    """Return the name of the same test over the surface's twin."""
    surface = str(_surface(item))
    test, bracket, parameters = item.nodeid.partition("[")
    return test + bracket + re.sub(rf"(^|-){surface}(?=[-\]])", rf"\g<1>{_TWIN_OF[surface]}", parameters)


def pytest_report_header(config: pytest.Config) -> str:
    """Name the home."""
    return config.stash[RUN].describe()
