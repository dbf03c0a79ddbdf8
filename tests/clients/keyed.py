"""The application as served, to a caller who can send no header: each request to /mcp is given a key on the way in."""

from __future__ import annotations

import os
from typing import Any

from crosswire.asgi import application as product

KEY_VARIABLE = "CROSSWIRE_TEST_KEY"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve the product."""
    if scope["type"] == "http" and scope["path"] == "/mcp":
        key = (b"authorization", f"Bearer {os.environ[KEY_VARIABLE]}".encode())
        scope = {**scope, "headers": [*scope["headers"], key]}
    await product(scope, receive, send)
