"""Make the first operator."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from accounts import members, operators
from accounts.adapters import has_second_factor
from crosswire.lib.errors import CrossWireError


class Command(BaseCommand):
    """`make_operator EMAIL` makes who has signed up with that address a superuser of the operators' console."""

    help = "Make a person who has signed up a superuser of the operators' console, who makes others operators there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("email", help="the address the person has signed up with")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find the person, give the rights."""
        try:
            person = members.person_with(options["email"])
            operators.make_superuser(person)
        except CrossWireError as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"{person.email} is an operator: {settings.PUBLIC_URL}{reverse('admin:index')}")
        if not has_second_factor(person):
            self.stdout.write(f"First, set up two-factor sign-in: {settings.PUBLIC_URL}{reverse('mfa_index')}")
