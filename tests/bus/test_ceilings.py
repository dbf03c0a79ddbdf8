"""How long a blocking wait may last: what the client survives, by whatever tells which client it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from bus import clients
from bus.models import Wait
from tests.bus.waiters import answered, begin, until
from tests.support import loopback
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.surfaces import Surface


@pytest.mark.parametrize(
    ("said", "registered", "seconds"),
    [
        ("claude-code/2.1", "", 240),
        ("node", "claude-code/2.1", 240),
        ("undici", "Gemini-CLI 1", 240),
        ("python-httpx/0.28", "codex", 100),
        ("", "codex", 100),
        ("node", "", 45),
        ("node", "python-requests/2", 45),
        ("my-agent/1", "claude-code/2.1", 45),
        ("ChatGPT-User/1.0", "claude-code/2.1", 45),
    ],
)
def test_the_library_a_client_is_made_with_does_not_hide_what_registered(
    said: str, registered: str, seconds: float
) -> None:
    assert clients.ceiling(said, registered) == seconds


def test_an_operator_can_change_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CLIENT_CEILINGS", (("my-agent", 120.0), ("claude-code/1", 50.0)))
    assert clients.ceiling("My-Agent/2") == 120
    assert clients.ceiling("claude-code/1.9") == 50
    assert clients.ceiling("claude-code/2.1") == 240
    assert clients.ceiling("another") == 45


def seconds_of(caller: Caller) -> float:
    """Return how long the open wait may last, by its row."""
    until(lambda: Wait.objects.filter(workspace=caller.workspace).exists(), "the wait does not begin")
    row = Wait.objects.get(workspace=caller.workspace)
    return (row.until - row.started_at).total_seconds() - 5


def register(url: str, caller: Caller, agent: str, **body: Any) -> None:
    headers = {**caller.headers, "User-Agent": agent}
    answer = loopback.post(f"{url}/api/register", json={"instance_id": "ann", **body}, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("call", ["mcp-2025-11-25"], indirect=True)
@pytest.mark.parametrize("asked", [{}, {"timeout_seconds": 70, "persistent": False}])
def test_a_wait_lasts_as_long_as_what_registered_survives(
    call: Surface, lane_url: str, alice: Caller, asked: dict[str, Any]
) -> None:
    """A stateless call of 2025 carries no name but the user agent, here the tests' HTTP library's."""
    register(lane_url, alice, "node", client="codex-cli/0.9")
    register(lane_url, alice, "python-httpx2/1")
    waited = begin(call, alice, instance_id="ann", **asked)
    assert seconds_of(alice) == (70 if asked else 100)
    seed(alice, ["x"])
    assert answered(waited)["ended"] == "message"


@pytest.mark.parametrize("call", ["mcp-2025-11-25"], indirect=True)
def test_a_client_that_names_itself_replaces_what_registered(call: Surface, lane_url: str, alice: Caller) -> None:
    register(lane_url, alice, "node", client="codex-cli/0.9")
    register(lane_url, alice, "my-agent/1")
    waited = begin(call, alice, instance_id="ann")
    assert seconds_of(alice) == 45
    seed(alice, ["x"])
    answered(waited)
