"""System checks for settings that cannot work together or are unsafe in production (ids `crosswire.E…`)."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured


@register(Tags.security)
def production_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Name everything a production start lacks. Production is: PUBLIC_URL is not loopback."""
    if not settings.IS_PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        found.append(Error("DATABASE_URL must name a PostgreSQL database in production.", id="crosswire.E001"))
    if not settings.REDIS_URL:
        found.append(Error("REDIS_URL is missing: processes could not wake each other.", id="crosswire.E002"))
    if not settings.PUBLIC_URL.startswith("https://"):
        found.append(Error("PUBLIC_URL must start with https:// in production.", id="crosswire.E003"))
    if len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 5:
        found.append(Error("SECRET_KEY is too weak: use 50 random characters.", id="crosswire.E004"))
    if os.environ.get("CROSSWIRE_CLOCK_FILE"):
        found.append(Error("CROSSWIRE_CLOCK_FILE moves the clock and is for tests alone.", id="crosswire.E005"))
    if settings.MAIL_BACKEND == settings.SMTP and not settings.MAIL_HOST:
        found.append(Error("MAIL_HOST is missing: nobody could confirm an address.", id="crosswire.E007"))
    if not settings.MAIL_FROM:
        found.append(Error("MAIL_FROM is missing: the address that mail comes from.", id="crosswire.E008"))
    return found


def refuse_unsafe_start() -> None:
    """Stop a production start that lacks something, naming all of it; who serves calls this, `manage.py` checks.

    Raises: ImproperlyConfigured.
    """
    found = [*production_settings(None), *sizes(None)]
    if found:
        raise ImproperlyConfigured("CrossWire does not start: " + " ".join(f"{each.msg} ({each.id})" for each in found))


@register()
def sizes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The pool of connections must have room for the executor's threads and for pages beside them."""
    if settings.EXECUTOR_THREADS < 1 or settings.DB_POOL_SIZE <= settings.EXECUTOR_THREADS:
        return [Error("DB_POOL_SIZE must be greater than EXECUTOR_THREADS (1 or more).", id="crosswire.E006")]
    return []
