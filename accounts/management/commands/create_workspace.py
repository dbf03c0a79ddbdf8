"""Make a workspace and its first key."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, transaction

from accounts import services
from accounts.plans import PLANS
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`create_workspace NAME [--plan PLAN] [--json]` prints the workspace and its API key, this once."""

    help = "Make a workspace and its first API key; the key is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("name")
        parser.add_argument("--plan", choices=list(PLANS), default="free", help="free unless told")
        parser.add_argument("--json", action="store_true", help='print {"workspace", "api_key"}')

    def handle(self, *args: Any, **options: Any) -> None:
        """Make both in one transaction."""
        try:
            with transaction.atomic():
                workspace = services.create_workspace(options["name"], options["plan"])
                _, text = services.create_key(workspace, "first key")
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        except DatabaseError as problem:
            raise CommandError(f"The database is not ready ({problem}): run `manage.py migrate` first.") from problem
        if options["json"]:
            self.stdout.write(json.dumps({"workspace": workspace.name, "api_key": text}))
        else:
            self.stdout.write(
                f"Workspace {workspace.name} ({workspace.slug}) on plan {workspace.plan}. "
                f"API key, shown this once:\n{text}"
            )
