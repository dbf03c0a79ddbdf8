"""The message bus."""

from typing import Any

from django.apps import AppConfig


class BusConfig(AppConfig):
    """Channels, messages, instances, shared data, and the three surfaces over them."""

    name = "bus"

    def ready(self) -> None:
        """Furnish each new workspace."""
        from accounts.signals import workspace_created  # noqa: PLC0415 - apps are loaded only now

        workspace_created.connect(_furnish, dispatch_uid="bus.furnish")


def _furnish(workspace: Any, **kwargs: Any) -> None:
    """Give a new workspace its counters and its `general` channel."""
    from bus.models import Channel, Counters  # noqa: PLC0415 - apps are loaded only when this runs

    Counters.objects.create(workspace=workspace)
    Channel.objects.create(workspace=workspace, name="general", description="Where everybody is")
