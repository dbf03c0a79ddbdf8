"""Put a workspace on a plan."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import plan_changes, services
from accounts.paid import paid_for
from accounts.plans import PLANS
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`set_plan WORKSPACE PLAN [--why WHY]` holds from its next call; longer history is held for 30 days."""

    help = "Put a workspace (its name or slug) on a plan, effective at once; a smaller one takes history after 30 days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")
        parser.add_argument("plan", choices=list(PLANS))
        parser.add_argument("--why", default="", help="what its audit log says")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find it, change its plan."""
        try:
            workspace = services.find_workspace(options["workspace"])
            is_other = plan_changes.set_plan(workspace, options["plan"], why=options["why"])
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        paid = paid_for(workspace)
        told = "is now" if is_other else "was already"
        self.stdout.write(f"{workspace.name} ({workspace.slug}) {told} on {PLANS[options['plan']].title}.")
        if paid and not paid.is_overdue and paid.is_larger_than(options["plan"]):
            self.stdout.write(f"{paid.title} is paid for it: billing puts it back on that, within a day at the latest.")
