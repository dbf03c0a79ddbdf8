"""The operators' console: Django's admin under our name. Message content is not shown here."""

from django.contrib import admin


class OperatorSite(admin.AdminSite):
    """The admin site for the people who run the service."""

    site_header = "CrossWire operators"
    site_title = "CrossWire"
    index_title = "Workspaces, keys and people"
