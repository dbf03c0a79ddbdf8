"""The message bus."""

from typing import Any

from django.apps import AppConfig


class BusConfig(AppConfig):
    """Channels, messages, instances, shared data, and the three surfaces over them."""

    name = "bus"

    def ready(self) -> None:
        """Hear what accounts tells: of new workspaces, of who may wait no longer, of exports and of erasing."""
        from accounts.signals import (  # noqa: PLC0415 - apps are loaded only now
            access_ended,
            person_erased,
            workspace_banners,
            workspace_counted,
            workspace_created,
            workspace_erased,
            workspace_exported,
            workspace_used,
        )

        workspace_created.connect(_furnish, dispatch_uid="bus.furnish")
        access_ended.connect(_end_waits, dispatch_uid="bus.end_waits")
        workspace_banners.connect(_warn, dispatch_uid="bus.warn")
        workspace_counted.connect(_count, dispatch_uid="bus.count")
        workspace_used.connect(_measure, dispatch_uid="bus.measure")
        workspace_exported.connect(_export, dispatch_uid="bus.export")
        workspace_erased.connect(_erase, dispatch_uid="bus.erase")
        person_erased.connect(_forget_person, dispatch_uid="bus.forget_person")


def _furnish(workspace: Any, **kwargs: Any) -> None:
    """Give a new workspace its counters and its `general` channel."""
    from bus.models import Channel, Counters  # noqa: PLC0415 - apps are loaded only when this runs

    Counters.objects.create(workspace=workspace)
    Channel.objects.create(workspace=workspace, name="general", description="Where everybody is")


def _end_waits(workspace_id: int, credential: str | None, instance: str | None, why: str, **kwargs: Any) -> None:
    from bus.services import endings  # noqa: PLC0415 - as above

    endings.end_access(workspace_id, credential, instance, why)


def _warn(here: Any, **kwargs: Any) -> Any:
    from bus.views import banners  # noqa: PLC0415 - as above

    return banners.of_quotas(here)


def _measure(here: Any, **kwargs: Any) -> Any:
    from bus.views import overview  # noqa: PLC0415 - as above

    return overview.meters(overview.usage_here(here), here.workspace.slug)


def _count(workspace: Any, **kwargs: Any) -> list[tuple[str, int]]:
    from bus import erasing  # noqa: PLC0415 - as above

    return erasing.counts(workspace.pk)


def _export(workspace: Any, archive: Any, **kwargs: Any) -> None:
    from bus import exporting  # noqa: PLC0415 - as above

    exporting.write(archive, workspace)


def _erase(workspace_id: int, alive: Any, is_last: bool, **kwargs: Any) -> None:
    from bus import erasing  # noqa: PLC0415 - as above

    erasing.erase(workspace_id, alive, is_last=is_last)


def _forget_person(places: Any, alive: Any, **kwargs: Any) -> list[tuple[int, str]]:
    from bus import erasing  # noqa: PLC0415 - as above

    return erasing.forget_person(places, alive)
