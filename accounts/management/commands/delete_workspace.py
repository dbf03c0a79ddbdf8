"""Delete a workspace by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import closing, services
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`delete_workspace WORKSPACE --yes` erases it, now; one whose erasing was cut off goes on."""

    help = "Erase a workspace (its name or slug) and everything in it, for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")
        parser.add_argument("--yes", action="store_true", help="without it, only say what would go")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what goes; with --yes delete it."""
        try:
            workspace = services.find_workspace(options["workspace"])
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        told = ", ".join(f"{count:,} {what}" for what, count in closing.what_goes(workspace))
        if not options["yes"]:
            self.stdout.write(f"{workspace.name} ({workspace.slug}) has {told}. To erase all of it, add --yes.")
            return
        closing.close(workspace, is_queued=False)
        closing.erase(workspace.pk)
        self.stdout.write(f"Erased {workspace.name}: {told}.")
