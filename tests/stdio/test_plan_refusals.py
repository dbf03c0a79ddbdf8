"""Local mode has no quota of its own; where somebody sets one it is told as everywhere."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import Mode
from tests.support.stdio import database, local_client, use

SEND = {"sender": "ann", "content": "x"}


def override(user: Path, figures: dict[str, Any]) -> None:
    with closing(sqlite3.connect(database(user), timeout=15)) as file, file:
        file.execute("UPDATE accounts_workspace SET overrides = ?", [json.dumps(figures)])


@pytest.mark.parametrize("mode", ["2026-07-28", "2025-11-25"])
async def test_a_message_past_the_quota_is_refused_and_passes_after_the_upgrade(user: Path, mode: Mode) -> None:
    async with local_client(user, mode) as client:
        await use(client, "send_message", **SEND)
        override(user, {"messages": 1})
        refused = await client.call_tool("send_message", SEND)
        assert refused.is_error
        assert refused.meta is not None
        told = refused.meta["crosswire/error"]
        assert (told["code"], told["plan"], told["limit"], told["used"]) == ("quota_exceeded", "unlimited", 1, 1)
        assert {"resets_at", "retry_after", "upgrade_url"} <= set(told)
        override(user, {})
        await use(client, "send_message", **SEND)
