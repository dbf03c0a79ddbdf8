"""The official Python SDK's client, for tests that must hold against a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support import loopback
from tests.support.cast import Credential

type Mode = Literal["auto", "legacy", "2025-11-25", "2026-07-28"]


@asynccontextmanager
async def connected_client(
    caller: Credential, url: str, mode: Mode = "2026-07-28", **options: Any
) -> AsyncIterator[Client]:
    """Connect the SDK's client to the server at `url` with the caller's key; `options` go to `Client`.

    `legacy` and `2025-11-25` are the same: the older protocol, begun by `initialize`.
    """
    spoken = "legacy" if mode == "2025-11-25" else mode
    timeout = httpx2.Timeout(30, read=300)
    async with loopback.AsyncClient(headers=caller.headers, timeout=timeout) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=spoken, **options) as client:
            yield client
