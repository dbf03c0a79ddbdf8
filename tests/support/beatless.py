"""CrossWire whose processes hear of one another's messages in no other way than the one under test: nobody looks.

As a script it is `manage.py`; `application` is the ASGI application. With CROSSWIRE_TEST_BEATS=lost they look as
often as ever while nothing else tells them, and never while something does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from django import conf, setup

from crosswire import cli

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "crosswire.local_settings"
if not conf.settings.configured:
    setup()

from bus import waiting

waiting.CALM_BEAT_SECONDS = 3_600.0
if os.environ.get("CROSSWIRE_TEST_BEATS") != "lost":
    waiting.BEAT_SECONDS = 3_600.0

if __name__ == "__main__":
    cli.main()
else:
    from crosswire.asgi import application as application  # noqa: PLC0414 - what the server looks for here
