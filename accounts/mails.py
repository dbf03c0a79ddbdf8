"""Mails: a template whose first line is the subject, to one person at a time."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

logger = logging.getLogger(__name__)


def send(template: str, to: str, **context: Any) -> bool:
    """Send a mail of `templates/mail/`; return whether it went out. One that does not is logged and hinders nobody."""
    given = {"public_url": settings.PUBLIC_URL, "operator_email": settings.OPERATOR_EMAIL, **context}
    text = render_to_string(f"mail/{template}.txt", given)
    subject, _, body = text.strip().partition("\n")
    try:
        send_mail(" ".join(subject.split()), f"{body.strip()}\n", None, [to])
    except Exception:  # whatever the mail backend raises
        logger.exception("mail_not_sent", extra={"template": template})
        return False
    return True
