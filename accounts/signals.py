"""What accounts tells the apps above it."""

from django.dispatch import Signal

workspace_created = Signal()
"""Sent with `workspace`, inside the transaction that makes it."""

workspace_closing = Signal()
"""Sent with `workspace`, before it is deleted."""
