"""What pytest has to know before Django reads its settings; loaded by `-p tests.plugin` in pyproject.toml."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.support.databases import CannotStart
from tests.support.homes import Run

RUN = pytest.StashKey[Run]()
"""Where the config keeps the run; tests use the fixture `run`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--home`."""
    parser.getgroup("crosswire").addoption(
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as another home's."""
    kind = config.stash[RUN].kind
    elsewhere = [item for item in items if (home := item.get_closest_marker("home")) and home.args != (kind,)]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


def pytest_report_header(config: pytest.Config) -> str:
    """Name the home."""
    return config.stash[RUN].describe()
