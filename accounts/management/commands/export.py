"""Export a workspace by hand."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import exports, services
from accounts.models import Export
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`export WORKSPACE` makes the file now and prints where it lies; the settings page shows it too."""

    help = "Export everything of a workspace (its name or slug) into EXPORTS_DIR; the file is kept for seven days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it, here and now."""
        try:
            export = exports.ask(services.find_workspace(options["workspace"]), is_queued=False)
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        exports.make(export.pk)
        export.refresh_from_db()
        if export.state != Export.State.READY:
            raise CommandError(export.problem or "Somebody deleted the workspace meanwhile.")
        self.stdout.write(f"{exports.folder() / export.path} ({export.size_bytes:,} bytes)")
