"""Delete what has expired, by hand; the schedule does the same every hour."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import services
from accounts.models import Workspace
from bus import pruners, pruning
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`prune` prints for each workspace how many rows of what were deleted, and last what was over in all alike."""

    help = "Delete what is past each workspace's retention, and what is over: waits, idempotency keys, old exports."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--dry-run", action="store_true", help="delete nothing; say what would go")
        parser.add_argument("--workspace", help="its name or slug: this one alone")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it now, however long it takes."""
        only = self._one(options["workspace"]) if options["workspace"] else None
        if options["dry_run"]:
            self._preview(only)
        elif only is not None:
            self._one_alone(only)
        else:
            run = pruners.run(told=lambda workspace, gone: self._say(workspace.slug, gone))
            self._say("everywhere", {what: run.counts[what] for what in pruners.EVERYWHERE if what in run.counts})
            if run.failed:
                raise CommandError(f"Failed, see the log: {', '.join(name or 'everywhere' for name in run.failed)}.")

    def _one(self, wanted: str) -> Workspace:
        try:
            return services.find_workspace(wanted)
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal

    def _one_alone(self, workspace: Workspace) -> None:
        try:
            pruning.check_clock()
        except pruning.ClockApart as problem:
            raise CommandError(str(problem)) from problem
        gone, _ = pruning.prune(workspace.pk)
        self._say(workspace.slug, gone)

    def _preview(self, only: Workspace | None) -> None:
        self.stdout.write("This would go:")
        workspaces = Workspace.objects.filter(closing_at=None).order_by("pk").iterator()
        for workspace in workspaces if only is None else [only]:
            if (counts := pruning.preview(workspace)) or only is not None:
                self._say(workspace.slug, counts)
        if only is None:
            self._say("everywhere", pruners.preview_everywhere())

    def _say(self, where: str, counts: Mapping[str, int] | Counter[str]) -> None:
        told = ", ".join(f"{what.replace('_', ' ')}: {count}" for what, count in counts.items())
        self.stdout.write(f"{where}: {told or 'nothing'}")
