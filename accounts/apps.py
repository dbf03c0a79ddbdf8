"""Who is calling, and what they may use."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People, workspaces, keys and plans."""

    name = "accounts"
