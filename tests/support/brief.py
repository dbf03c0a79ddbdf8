"""CrossWire whose streams of events are over at once, for whoever calls everything there is."""

from __future__ import annotations

from crosswire.asgi import application as application  # noqa: PLC0414 - what the server looks for here

from bus import listening  # isort: skip - Django is set up by the line above

listening.LIFE_SECONDS = listening.PAUSE_SECONDS = 0.01
