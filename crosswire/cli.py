"""The command line, as `manage.py` and as the console script `crosswire`."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run a management command."""
    if sys.argv[1:2] == ["stdio"]:
        os.environ.update(DJANGO_SETTINGS_MODULE="crosswire.local_settings")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crosswire.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as problem:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"CrossWire cannot start: {problem}")
