"""Who is calling, and what they may use."""

from typing import Any

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People, workspaces, keys and plans."""

    name = "accounts"

    def ready(self) -> None:
        """Have what is recorded told to those who want to know; hear when somebody signs out, or loses a session or a
        password: what is open for them may have to end."""
        from allauth.account.signals import email_changed  # noqa: PLC0415 - apps are loaded only now
        from allauth.usersessions.models import UserSession  # noqa: PLC0415 - as above
        from django.contrib.auth.signals import user_logged_out  # noqa: PLC0415 - as above
        from django.db.models.signals import post_delete, post_save  # noqa: PLC0415 - as above

        from accounts import sessions  # noqa: PLC0415 - as above
        from accounts.models import AuditEvent, User  # noqa: PLC0415 - as above

        email_changed.connect(_address_changed, dispatch_uid="accounts.address_changed")
        post_save.connect(_consider, AuditEvent, dispatch_uid="accounts.notices")
        user_logged_out.connect(sessions.tell, dispatch_uid="accounts.signed_out")
        post_delete.connect(sessions.tell, UserSession, dispatch_uid="accounts.session_ended")
        post_save.connect(sessions.tell, User, dispatch_uid="accounts.person_changed")


def _consider(instance: Any, created: bool, **kwargs: Any) -> None:
    from accounts import notices  # noqa: PLC0415 - as above

    if created:
        notices.consider(instance)


def _address_changed(user: Any, from_email_address: Any, to_email_address: Any, **kwargs: Any) -> None:
    """Have the log of each workspace tell that it is still the same person."""
    from accounts import audit  # noqa: PLC0415 - as above

    before, after = getattr(from_email_address, "email", ""), to_email_address.email
    if before and before != after:
        for workspace in user.memberships.values_list("workspace_id", flat=True):
            audit.record(workspace, after, "member.address_changed", after, before=before)
