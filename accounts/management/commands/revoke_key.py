"""End a key."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import services
from accounts.models import ApiKey
from crosswire.lib import keys


class Command(BaseCommand):
    """`revoke_key PREFIX` ends the one live key that begins so; running servers follow within a second,
    or five where they share no Redis."""

    help = "Revoke a key, named by its first eleven characters (cw_ and eight more) or more of it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("prefix")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find the key and revoke it."""
        prefix = keys.display_prefix(options["prefix"])
        found = (
            list(ApiKey.objects.filter(prefix=prefix, revoked_at=None)) if len(prefix) == keys.DISPLAY_LENGTH else []
        )
        if len(found) != 1:
            raise CommandError(f"{len(found) or 'No'} live keys begin with {prefix!r}.")
        services.revoke_key(found[0])
        self.stdout.write(f"Revoked {found[0]} of {found[0].workspace}.")
