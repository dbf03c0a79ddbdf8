"""Give a workspace figures of its own in place of its plan's."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import plan_changes, services
from accounts.plans import OVERRIDABLE
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`override WORKSPACE messages=5000 waits=none channels=plan`: a number, `none` for no bound, or `plan`."""

    help = "Override figures of a workspace's plan (its name or slug); figures that are not named stay as they are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")
        parser.add_argument(
            "figures",
            nargs="*",
            metavar="FIGURE=VALUE",
            help="a whole number, `none` for no bound, or `plan` for the plan's own; without any, print what is set. "
            f"Figures: {', '.join(sorted(OVERRIDABLE))}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Find it, put the figures in place."""
        try:
            workspace = services.find_workspace(options["workspace"])
            if options["figures"]:
                plan_changes.set_overrides(workspace, changed(workspace.overrides, options["figures"]))
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        told = ", ".join(f"{name}={'none' if each is None else each}" for name, each in workspace.overrides.items())
        self.stdout.write(f"{workspace.name} ({workspace.slug}): {told or 'the plan as it is'}")


def changed(overrides: dict[str, Any], arguments: list[str]) -> dict[str, Any]:
    """Return the overrides with what the command line says put in. Raises: CommandError."""
    found = dict(overrides)
    for each in arguments:
        name, is_given, value = each.partition("=")
        if value == "plan":
            found.pop(name, None)
        elif value == "none" or (value.isascii() and value.isdigit()):
            found[name] = None if value == "none" else int(value)
        else:
            raise CommandError(f"{each}: " + ("give a number, none or plan." if is_given else "write FIGURE=VALUE."))
    return found
