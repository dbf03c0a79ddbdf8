"""Sign-ins behind open pages: whose they are, whether they still are, and a word when one may have ended."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest, parse_cookie
from django.utils.crypto import constant_time_compare

from accounts.models import User
from crosswire.lib import clock, http, hub

CHANGED = "sessions-changed"
"""A sign-in may have ended somewhere: {}. Whoever keeps something open for people asks again."""


def key_of(scope: http.Scope) -> str:
    """Return the session's key that a request brings in its cookie, "" for none."""
    return parse_cookie(http.header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME, "")[:100]


def person_of(key: str) -> User | None:
    """Return who is signed in by a session, checked as a page's request would be."""
    if not key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = auth.get_user(request)
    return user if isinstance(user, User) else None


def alive(keys: Collection[str]) -> set[str]:
    """Return which of these sessions somebody is still signed in by, in two statements for all of them."""
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=clock.now())
    signed_in = {row.session_key: row.get_decoded() for row in rows}
    people = User.objects.filter(is_active=True).in_bulk(
        [said[auth.SESSION_KEY] for said in signed_in.values() if auth.SESSION_KEY in said]
    )
    return {key for key, said in signed_in.items() if _is_theirs(said, people)}


def _is_theirs(said: dict[str, Any], people: dict[Any, User]) -> bool:
    user = people.get(int(said.get(auth.SESSION_KEY, 0)))
    digest = said.get(auth.HASH_SESSION_KEY, "")
    if user is None:
        return False
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(digest, each) for each in known)


def end(user: User) -> None:
    """End every sign-in of a person."""
    signed_in = UserSession.objects.filter(user=user)
    Session.objects.filter(session_key__in=list(signed_in.values_list("session_key", flat=True))).delete()
    signed_in.delete()


def tell(**kwargs: Any) -> None:
    """Say that a sign-in may have ended, once the transaction is committed. A receiver of signals."""
    if set(kwargs.get("update_fields") or ()) != {"last_login"}:
        transaction.on_commit(lambda: hub.publish(CHANGED, {}))
