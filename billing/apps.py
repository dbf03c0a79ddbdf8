"""Plans for money."""

from typing import Any

from django.apps import AppConfig

SUSPENDED = "A suspended workspace is charged on until its subscription is cancelled; its Billing page does that."


class BillingConfig(AppConfig):
    """Stripe behind one gateway."""

    name = "billing"

    def ready(self) -> None:
        """Import the checks, which register themselves; hear of workspaces: shown, deleted, exported."""
        from accounts.signals import (  # noqa: PLC0415 - apps are loaded only now
            address_erased,
            suspension_told,
            workspace_banners,
            workspace_closing,
            workspace_counted,
            workspace_exported,
            workspace_handed_over,
            workspace_paid,
        )
        from billing import checks  # noqa: F401, PLC0415 - Django's way to register checks

        address_erased.connect(_forget, dispatch_uid="billing.forget")
        suspension_told.connect(_charge_on, dispatch_uid="billing.charge_on")
        workspace_banners.connect(_warn, dispatch_uid="billing.warn")
        workspace_counted.connect(_count, dispatch_uid="billing.count")
        workspace_closing.connect(_close, dispatch_uid="billing.close")
        workspace_exported.connect(_export, dispatch_uid="billing.export")
        workspace_handed_over.connect(_hand_over, dispatch_uid="billing.hand_over")
        workspace_paid.connect(_paid, dispatch_uid="billing.paid")


def _forget(address: str, nobody: str, **kwargs: Any) -> None:
    from billing import history  # noqa: PLC0415 - apps are loaded only when this runs

    history.forget(address, nobody)


def _warn(here: Any, **kwargs: Any) -> Any:
    from billing import banners  # noqa: PLC0415 - as above

    return banners.of_payments(here)


def _charge_on(workspace: Any, **kwargs: Any) -> str:
    """Tell whose workspace is suspended that it is paid for nevertheless."""
    from billing import standing  # noqa: PLC0415 - as above

    now = standing.of(workspace, is_short=True)
    return SUSPENDED if workspace.suspended_at and now.is_subscribed and not now.cancels_at else ""


def _count(workspace: Any, **kwargs: Any) -> list[tuple[str, int]]:
    """Tell whoever is about to delete a workspace that it is paid for."""
    from billing.models import Subscription  # noqa: PLC0415 - as above

    live = Subscription.objects.live().filter(customer__workspace=workspace).count()
    return [("subscription, which ends at once and is not paid back", live)] if live else []


def _close(workspace: Any, **kwargs: Any) -> None:
    from billing import closing  # noqa: PLC0415 - as above

    closing.begin(workspace)


def _export(workspace: Any, archive: Any, **kwargs: Any) -> None:
    from billing import exporting  # noqa: PLC0415 - as above

    exporting.write(archive, workspace)


def _hand_over(workspace: Any, before: str, after: str, **kwargs: Any) -> None:
    from billing import owners  # noqa: PLC0415 - as above

    owners.hand_over(workspace, before, after)


def _paid(workspace: Any, **kwargs: Any) -> Any:
    from billing import owners  # noqa: PLC0415 - as above

    return owners.paid(workspace)
