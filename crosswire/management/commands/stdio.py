"""Local mode: the bus for agents on this machine, without a server."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from crosswire import local


class Command(BaseCommand):
    """`stdio` answers one MCP client over standard input and output until it leaves."""

    help = "Answer one MCP client over standard input and output; messages are in ~/.crosswire, or DATABASE_URL."

    requires_system_checks = ()  # they look at what only a server needs

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve; nothing but protocol goes to standard output."""
        try:
            local.serve()
        except DatabaseError as problem:
            raise CommandError(f"The database cannot be used: {problem}") from problem
