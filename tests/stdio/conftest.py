"""Home folders for local mode."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import stdio


@pytest.fixture(scope="session")
def _used_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of somebody who has used local mode once."""
    user: Path = tmp_path_factory.mktemp("user")
    with stdio.process(user) as started:
        started.close_input()
        assert started.exit_code() == 0, started.errors.read_text(encoding="utf-8")
    return user


@pytest.fixture
def user(_used_before: Path, tmp_path: Path) -> Path:
    """A home folder in which local mode was used before; no message is there."""
    shutil.copytree(_used_before / ".crosswire", tmp_path / ".crosswire")
    return tmp_path
