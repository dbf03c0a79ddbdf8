"""The project's own app: checks and the operators' admin site."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class CrossWireConfig(AppConfig):
    """Registers the system checks."""

    name = "crosswire"
    default = True

    def ready(self) -> None:
        """Import the checks, which register themselves."""
        from crosswire import checks  # noqa: F401, PLC0415 - Django's way to register checks


class CrossWireAdminConfig(admin_apps.AdminConfig):
    """Puts our AdminSite in place of Django's."""

    default_site = "crosswire.console.site.OperatorSite"
    default = False
