"""Let a suspended workspace go on."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import services
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`resume_workspace WORKSPACE` takes its calls again."""

    help = "Resume a suspended workspace (its name or slug)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find it, resume it."""
        try:
            workspace = services.find_workspace(options["workspace"])
            services.resume(workspace)
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"{workspace.name} ({workspace.slug}) goes on.")
