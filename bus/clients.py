"""How long a blocking wait may last for each client, in seconds: under what the client itself survives.

Recognised by the start of the name a client gives: `clientInfo`, else the user agent, else, where that names but the
library it is made with, the client that registered the instance.
"""

from __future__ import annotations

from django.conf import settings

DEFAULT_SECONDS = 45.0
REST_SECONDS = 40.0
"""A GPT Action gives up after 45 s, the way there and back included."""
STDIO_SECONDS = 240.0
"""No proxy between, and a client that starts programs of its own waits for them."""

CEILINGS: tuple[tuple[str, float], ...] = (
    ("claude-code", 240),
    ("claude", 240),  # Claude.ai, Desktop, Cowork, mobile
    ("anthropic", 240),
    ("gemini-cli", 240),
    ("codex", 100),
    ("openai", 45),
    ("chatgpt", 45),
)


LIBRARIES = (
    "aiohttp",
    "axios",
    "bun",
    "curl",
    "deno",
    "go-http-client",
    "got",
    "java",
    "node",
    "okhttp",
    "python",
    "reqwest",
    "undici",
)
"""User agents that do not say which client it is."""


def ceiling(client: str, registered: str = "", *, over_stdio: bool = False) -> float:
    """Return how many seconds a blocking wait of this client may last. `registered`: what registered the instance."""
    name = (client if is_named(client) else registered).strip().lower()
    unknown = STDIO_SECONDS if over_stdio else DEFAULT_SECONDS
    table = (*settings.CLIENT_CEILINGS, *CEILINGS)
    return next((seconds for start, seconds in table if name.startswith(start)), unknown)


def is_named(client: str) -> bool:
    """Return whether this is a client's name, not that of a library for HTTP."""
    name = client.strip().lower()
    return bool(name) and not name.startswith(LIBRARIES)
