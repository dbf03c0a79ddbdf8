"""What people do with the keys of their workspace, beside making and revoking one (services.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import transaction

from accounts import audit, principals, services
from accounts.models import ApiKey, User, Workspace
from accounts.plans import plan_in_force
from accounts.principals import KeyQuery
from crosswire.lib import clock, keys
from crosswire.lib.errors import invalid, not_found
from crosswire.lib.text import one_line

OVERLAP = timedelta(hours=24)
"""How long a key that was rotated goes on working, unless it is ended at once."""
TOGETHER_MOST = 5
"""Instance keys that are made at once."""
ENDED_SHOWN = 50
FIRST_NAME = "first key"


class Made(NamedTuple):
    """A key just made, and its text, which is nowhere else."""

    key: ApiKey
    text: str


class Listed(NamedTuple):
    """A workspace's keys, newest first: those that work, and the newest of those that no longer do."""

    live: list[ApiKey]
    ended: list[ApiKey]
    limit: int


def listed(workspace: Workspace) -> Listed:
    """Return the keys of a workspace, and how many may be live at a time."""
    every = ApiKey.objects.filter(workspace=workspace).select_related("created_by").order_by("-created_at", "-pk")
    live = list(principals.working(every))
    ended = list(every.exclude(pk__in=[each.pk for each in live])[:ENDED_SHOWN])
    return Listed(live, ended, plan_in_force(workspace.plan, workspace.overrides).live_keys)


def find(workspace: Workspace, prefix: str) -> ApiKey:
    """Return a workspace's key by the part of it that lists show. Raises: CrossWireError `not_found`."""
    found = list(ApiKey.objects.filter(workspace=workspace, prefix=prefix).select_related("workspace", "created_by"))
    if len(found) != 1:
        raise not_found("There is no such key here.")
    return found[0]


def is_live(key: ApiKey) -> bool:
    """Return whether a key works now."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > clock.now())


def is_newest(key: ApiKey) -> bool:
    """Return whether no working key has replaced this one."""
    return not principals.working(_successors(key)).exists()


def replaced_by(key: ApiKey) -> list[ApiKey]:
    """Return the keys that this one has replaced and that work still, newest first."""
    same = ApiKey.objects.filter(workspace=key.workspace_id, credential=key.credential, pk__lt=key.pk)
    return list(principals.working(same).order_by("-pk"))


@transaction.atomic
def make_first(workspace: Workspace, user: User) -> Made | None:
    """Make a new workspace's first key; None when it has one already, or had: of several that ask, one gets it."""
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    if ApiKey.objects.filter(workspace=workspace).exists():
        return None
    return Made(*services.create_key(workspace, FIRST_NAME, created_by=user, actor=user.email))


@transaction.atomic
def make_for_instances(workspace: Workspace, names: Sequence[str], user: User) -> list[Made]:
    """Make a key for each of these instances: all of them, or none.

    Raises: CrossWireError as `create_key`, `invalid_input` for none, too many, or one named twice.
    """
    if not 1 <= len(names) <= TOGETHER_MOST:
        raise invalid(f"Name one to {TOGETHER_MOST} instances.")
    if len(set(names)) < len(names):
        raise invalid("Each instance needs a name of its own.")
    return [
        Made(*services.create_key(workspace, name, instance_id=name, created_by=user, actor=user.email))
        for name in names
    ]


@transaction.atomic
def rename(key: ApiKey, name: str, *, actor: str) -> None:
    """Give a key another name. Raises: CrossWireError `invalid_input`, `not_found` for one that works no more."""
    key = _lock(key)
    before, key.name = key.name, one_line("name", name, most=80)
    if key.name == before:
        return
    key.save(update_fields=["name"])
    audit.record(key.workspace_id, actor, "key.renamed", key.name, prefix=key.prefix, before=before)
    principals.drop_after_commit(key.workspace_id)


@transaction.atomic
def rotate(key: ApiKey, *, by: User, at_once: bool = False) -> Made:
    """Replace a key by a new one of the same credential: same instance, rights and place in conversations.

    The old one works on for a day, or ends at once; what waits under it then calls again with the new one.
    Raises: CrossWireError `not_found` (it works no more), `invalid_input` (it was rotated before), `limit_reached`.
    """
    workspace = Workspace.objects.select_for_update(no_key=True).get(pk=key.workspace_id)
    key = _lock(key)
    if principals.working(_successors(key)).exists():
        raise invalid("This key was rotated already; rotate the newer one.")
    ends_by_itself = key.expires_at is not None and not _successors(key).exists()
    live = services.live_keys(workspace)
    if not at_once:
        services.require_room(workspace, live.count(), "Rotate so that the old one ends now, or revoke another.")
    text = keys.generate()
    new = ApiKey.objects.create(
        workspace=workspace,
        name=key.name,
        kind=key.kind,
        instance_id=key.instance_id,
        is_read_only=key.is_read_only,
        credential=key.credential,
        expires_at=key.expires_at if ends_by_itself else None,
        created_by=by,
        digest=keys.digest(text),
        prefix=keys.display_prefix(text),
    )
    audit.record(
        workspace.pk, by.email, "key.rotated", key.name, prefix=key.prefix, new_prefix=new.prefix, at_once=at_once
    )
    if at_once:
        services.revoke_key(key, actor=by.email)
    else:
        until = clock.now() + OVERLAP
        key.expires_at = until if key.expires_at is None else min(key.expires_at, until)
        key.save(update_fields=["expires_at"])
        principals.drop_after_commit(workspace.pk)
    return Made(new, text)


def _lock(key: ApiKey) -> ApiKey:
    """Return a key's row as it is now, so that nobody else changes it. Raises: CrossWireError `not_found`."""
    held = principals.working(ApiKey.objects.filter(workspace=key.workspace_id, pk=key.pk))
    found = held.select_for_update(no_key=True).first()
    if found is None:
        raise not_found("This key does not work any more.")
    return found


def _successors(key: ApiKey) -> KeyQuery:
    """Return the keys that replaced this one, whether or not they work."""
    return ApiKey.objects.filter(workspace=key.workspace_id, credential=key.credential, pk__gt=key.pk)
