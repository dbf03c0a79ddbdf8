"""Stop a workspace."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import services
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`suspend_workspace WORKSPACE --reason REASON` refuses its calls and ends what is open there."""

    help = "Suspend a workspace (its name or slug): its calls are refused and what is open there ends."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")
        parser.add_argument("--reason", required=True, help="what its people and programs are told")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find it, suspend it."""
        try:
            workspace = services.find_workspace(options["workspace"])
            services.suspend(workspace, options["reason"])
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"Suspended {workspace.name} ({workspace.slug}): {workspace.suspended_reason}")
