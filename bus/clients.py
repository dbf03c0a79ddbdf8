"""How long a blocking wait may last for each client, in seconds: under what the client itself survives.

Recognised by the start of the name a client gives (`clientInfo`, user agent, or `register`'s `client`).
"""

from __future__ import annotations

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


def ceiling(client: str, *, over_stdio: bool = False) -> float:
    """Return how many seconds a blocking wait of this client may last."""
    name = client.strip().lower()
    unknown = STDIO_SECONDS if over_stdio else DEFAULT_SECONDS
    return next((seconds for start, seconds in CEILINGS if name.startswith(start)), unknown)
