"""The product as a benchmark serves it: waits may last long, so that thousands can be opened before the first ends."""

from __future__ import annotations

from bus import clients
from crosswire.asgi import application as application  # noqa: PLC0414 - what the server looks for here

LONG_SECONDS = 1_200.0

clients.REST_SECONDS = clients.DEFAULT_SECONDS = LONG_SECONDS
clients.CEILINGS = (("claude", LONG_SECONDS),)
