"""Make another key of a workspace."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import services
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`create_key WORKSPACE NAME [--instance ID] [--read-only] [--json]` prints the key, this once."""

    help = "Make another API key of a workspace (its name or slug); the key is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")
        parser.add_argument("name", help="what the key is for")
        parser.add_argument("--instance", default="", help="bind the key to this instance_id")
        parser.add_argument("--read-only", action="store_true")
        parser.add_argument("--json", action="store_true", help='print {"workspace", "api_key"}')

    def handle(self, *args: Any, **options: Any) -> None:
        """Find the workspace, make the key."""
        try:
            workspace = services.find_workspace(options["workspace"])
            _, text = services.create_key(
                workspace, options["name"], instance_id=options["instance"], is_read_only=options["read_only"]
            )
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        if options["json"]:
            self.stdout.write(json.dumps({"workspace": workspace.name, "api_key": text}))
        else:
            self.stdout.write(f"API key of {workspace.name}, shown this once:\n{text}")
