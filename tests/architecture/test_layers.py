"""Who imports whom: the contracts in pyproject.toml hold."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from tests.support.homes import ROOT
from tests.support.processes import finish

LINT = Path(sys.executable).with_name("lint-imports")
BROKEN = """\
[importlinter]
root_packages =
    bus

[importlinter:contract:upside-down]
name = Services may not use access
type = forbidden
source_modules =
    bus.services
forbidden_modules =
    bus.access
"""


def lint(cache: Path, *options: str) -> tuple[int, str]:
    done = finish([sys.executable, str(LINT), "--no-logo", "--cache-dir", str(cache), *options], 120, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def test_every_import_contract_is_kept(tmp_path: Path) -> None:
    code, told = lint(tmp_path)
    assert code == 0, told
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert told.count("KEPT") == len(contracts) >= 4, told


def test_a_contract_that_is_broken_fails(tmp_path: Path) -> None:
    config = tmp_path / "broken.ini"
    config.write_text(BROKEN, encoding="utf-8")
    code, told = lint(tmp_path / "cache", "--config", str(config))
    assert code != 0
    assert "BROKEN" in told


def test_every_package_of_ours_is_looked_at() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert set(settings["root_packages"]) == packages
