"""The page Connect at one server process, and the client's first call at another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest

from tests.conftest import SurfaceAt
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.homes import Run
from tests.support.people import make_person
from tests.support.processes import wait_until
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.slow
SOON = 30.0


@pytest.fixture(scope="module")
def pair(run: Run, database: None) -> Iterator[list[ServerProcess]]:
    """Two servers on one database, with Redis where the run has one."""
    with ServerProcess(run.home) as one, ServerProcess(run.home) as other:
        yield [one, other]


def test_the_page_of_one_process_sees_calls_to_another(
    pair: list[ServerProcess], surface_at: SurfaceAt, alice: Caller
) -> None:
    ada = make_person(alice.workspace)
    mcp, rest = surface_at("mcp-2026-07-28", pair[1].url), surface_at("lane", pair[0].url)
    with loopback.Client(base_url=pair[0].url, cookies=dict([ada.cookie()]), timeout=60) as page:
        shown = page.get(f"{ada.home}connect", params={"client": "python"}).text
        since = unescape(re.findall(r'data-since="([^"]+)"', shown)[0])

        def seen() -> dict[str, object]:
            asked = {"client": "python", "since": since}
            told: dict[str, object] = page.get(f"{ada.home}connect/seen", params=asked).raise_for_status().json()
            return told

        assert seen()["connected"] is False
        mcp.request(alice, "tools/list")
        wait_until(lambda: seen()["protocol"] == "MCP 2026-07-28", SOON, lambda: str(seen()))
        assert seen()["instance"] is None
        mcp.ok(alice, "register", instance_id="ann")
        wait_until(lambda: seen()["instance"] == "ann", SOON, lambda: str(seen()))
        rest.ok(alice, "register", instance_id="bo")
        wait_until(lambda: (seen()["protocol"], seen()["instance"]) == ("REST", "bo"), SOON, lambda: str(seen()))
