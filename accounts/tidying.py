"""What people leave behind: sessions that are over, and accounts that nobody ever confirmed."""

from __future__ import annotations

from datetime import timedelta

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef

from accounts.models import Member, User
from crosswire.lib import clock

UNCONFIRMED_DAYS = 7


def tidy() -> dict[str, int]:
    """Delete it; return how many rows of what.

    An address that somebody mistyped, or that was not theirs, is free again after a week.
    """
    now = clock.now()
    sessions, _ = Session.objects.filter(expire_date__lt=now).delete()
    kept = Session.objects.filter(session_key=OuterRef("session_key"))
    listed, _ = UserSession.objects.filter(~Exists(kept)).delete()
    strangers = User.objects.filter(
        ~Exists(EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)),
        ~Exists(Member.objects.filter(user=OuterRef("pk"))),
        last_login=None,
        is_staff=False,
        date_joined__lt=now - timedelta(days=UNCONFIRMED_DAYS),
    )
    _, deleted = strangers.delete()
    return {"sessions": sessions, "listed_sessions": listed, "unconfirmed_accounts": deleted.get("accounts.User", 0)}
