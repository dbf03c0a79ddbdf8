"""Settings of local mode: nothing has to be set, and nothing is written outside `~/.crosswire`.

The same settings otherwise; what is in the environment holds here too.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import quote

from crosswire.lib import env

HOME = Path("~/.crosswire").expanduser()

os.environ.setdefault("CROSSWIRE_VAR", str(HOME))
if not env.secret("SECRET_KEY"):
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)  # signs nothing here
if not env.secret("DATABASE_URL"):
    os.environ["DATABASE_URL"] = f"sqlite:///{quote(str(env.private_file(HOME / 'messages.db')))}"

from crosswire.settings import *  # noqa: E402, F403
from crosswire.settings import INSTALLED_APPS  # noqa: E402

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "daphne"]  # serves nothing here, and loads Twisted
