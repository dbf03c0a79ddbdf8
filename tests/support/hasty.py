"""CrossWire whose processes look after their waits often, for tests that move the clock and do not want to wait."""

from __future__ import annotations

from django import conf, setup

if not conf.settings.configured:
    setup()

from bus import clients, mutual, waiting

waiting.BEAT_SECONDS = waiting.CALM_BEAT_SECONDS = 0.2
mutual.LOOK_SECONDS = 0.3
clients.DEFAULT_SECONDS = 600.0

from crosswire.asgi import application as application  # noqa: E402, PLC0414 - what the server looks for here
