"""Make a person a member of a workspace."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import members, services
from accounts.models import Member
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`join WORKSPACE EMAIL [--role ROLE]` makes who has signed up with that address a member; owner unless told."""

    help = "Make a person who has signed up a member of a workspace (its name or slug); owner unless told otherwise."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("workspace", help="name or slug")
        parser.add_argument("email", help="the address the person has signed up with")
        parser.add_argument("--role", choices=Member.Role.values, default=Member.Role.OWNER.value)

    def handle(self, *args: Any, **options: Any) -> None:
        """Find both, let them meet."""
        try:
            workspace = services.find_workspace(options["workspace"])
            member = members.join(workspace, members.person_with(options["email"]), Member.Role(options["role"]))
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(
            f"{member.user.email} is now {member.get_role_display().lower()} of {workspace.name}: "
            f"{settings.PUBLIC_URL}/w/{workspace.slug}/"
        )
