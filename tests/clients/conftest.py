"""Fixtures for clients of other makers: their packages, and a server that notes which protocol each one speaks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.clients.packages import Packages, install
from tests.clients.speakers import Place
from tests.support import servers
from tests.support.cast import Credential


@pytest.fixture(scope="session")
def packages() -> Packages:
    """The clients from npm. An error here says that they could not be had, not that one of them failed."""
    return install()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """These clients heed a proxy in the environment; none has business between them and this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


class Recorder:
    """The product, with a note of the protocol versions each key came with in `MCP-Protocol-Version`."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.url = ""
        self.versions: dict[str, set[str]] = defaultdict(set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Note and pass on."""
        headers = dict(scope.get("headers", ()))
        if b"mcp-protocol-version" in headers:
            key = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
            self.versions[key].add(headers[b"mcp-protocol-version"].decode())
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def recorder(database: None) -> Iterator[Recorder]:
    """A thread server of the product; `.versions` has what was spoken."""
    from crosswire.asgi import build_application  # noqa: PLC0415 - only who needs the server loads it

    recorder = Recorder(build_application(lane=True))
    with servers.thread_server(recorder) as server:
        recorder.url = server.url
        yield recorder


class PlaceFor(Protocol):
    """What the fixture `place_for` is."""

    def __call__(self, caller: Credential) -> Place: ...


@pytest.fixture
def place_for(recorder: Recorder, packages: Packages, tmp_path: Path) -> PlaceFor:
    """Return where a caller's client connects, with a home of its own."""

    def make(caller: Credential) -> Place:
        folder = tmp_path / re.sub(r"\W", "", caller.key)
        folder.mkdir(exist_ok=True)
        return Place(f"{recorder.url}/mcp", caller.key, packages, folder)

    return make
