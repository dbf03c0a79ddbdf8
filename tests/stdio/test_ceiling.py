"""How long a wait may last over stdio."""

from __future__ import annotations

import pytest

from bus import clients


@pytest.mark.parametrize(
    ("client", "seconds"), [("claude-code/2.1.9", 240), ("codex-mcp-client/1", 100), ("mcp/0.1", 240), ("", 240)]
)
def test_an_unknown_client_waits_as_long_as_any_and_a_known_one_no_longer_than_it_survives(
    client: str, seconds: float
) -> None:
    assert clients.ceiling(client, over_stdio=True) == seconds
