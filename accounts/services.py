"""Making workspaces and keys, and taking them away."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts import audit, principals, refusals
from accounts.models import ApiKey, User, Workspace
from accounts.plans import PLANS, plan_in_force
from accounts.signals import access_ended, workspace_created
from crosswire.lib import clock, keys
from crosswire.lib.errors import CrossWireError, invalid, not_found
from crosswire.lib.text import one_line


@transaction.atomic
def create_workspace(name: str, plan: str = "free", *, actor: str = "operator") -> Workspace:
    """Make a workspace with its counters and its `general` channel.

    Raises: CrossWireError `invalid_input` for an unknown plan or an empty name.
    """
    if plan not in PLANS:
        raise invalid(f"There is no plan {plan!r}; plans: {', '.join(PLANS)}.")
    workspace = Workspace.objects.create(name=one_line("name", name, most=120), plan=plan)
    workspace_created.send(sender=Workspace, workspace=workspace)
    audit.record(workspace.pk, actor, "workspace.created", workspace.name, plan=plan)
    return workspace


@transaction.atomic
def create_key(
    workspace: Workspace,
    name: str,
    *,
    instance_id: str = "",
    is_read_only: bool = False,
    created_by: User | None = None,
    actor: str = "operator",
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which is shown this once. With `instance_id` it is bound to it.

    Raises: CrossWireError `limit_reached` (live keys of the plan), `instance_in_use` (another key has that
    instance), `invalid_input`.
    """
    locked = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)  # one at a time: an exact limit
    live = live_keys(workspace)
    require_room(locked, live.count(), "Revoke one first.")
    _require_unbound(live, instance_id)
    text = keys.generate()
    key = ApiKey.objects.create(
        workspace=workspace,
        name=one_line("name", name, most=80),
        kind=ApiKey.Kind.INSTANCE if instance_id else ApiKey.Kind.WORKSPACE,
        instance_id=principals.instance_name("instance_id", instance_id) if instance_id else "",
        is_read_only=is_read_only,
        digest=keys.digest(text),
        prefix=keys.display_prefix(text),
        created_by=created_by,
    )
    audit.record(workspace.pk, actor, "key.created", key.name, prefix=key.prefix, instance_id=instance_id)
    if instance_id:
        end_access(workspace.pk, instance=instance_id)  # the name is nobody else's any more
    principals.drop_after_commit(workspace.pk)
    return key, text


@transaction.atomic
def revoke_key(key: ApiKey, *, actor: str = "operator") -> None:
    """End a key and what is open under it. Processes forget it at once where the hub reaches them, within five seconds
    elsewhere."""
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.save(update_fields=["revoked_at"])
        audit.record(key.workspace_id, actor, "key.revoked", key.name, prefix=key.prefix)
    goes_on = principals.working(ApiKey.objects.filter(workspace=key.workspace_id, credential=key.credential)).exists()
    end_access(key.workspace_id, credential=key.credential, why="restart" if goes_on else "revoked")
    principals.drop_after_commit(key.workspace_id)


@transaction.atomic
def restrict_key(key: ApiKey, *, is_read_only: bool = False, instance_id: str = "", actor: str = "operator") -> None:
    """Make a key read-only, or bind it to an instance; what is open under it ends. Nothing widens a key.

    Raises: CrossWireError `instance_in_use` (another key has that instance, or this one another), `invalid_input`.
    """
    Workspace.objects.select_for_update(no_key=True).get(pk=key.workspace_id)
    if instance_id and key.instance_id not in ("", instance_id):
        raise CrossWireError("instance_in_use", f'This key speaks for "{key.instance_id}"; make another for that name.')
    if instance_id and not key.instance_id:
        _require_unbound(live_keys(key.workspace), instance_id)
        key.kind, key.instance_id = ApiKey.Kind.INSTANCE, principals.instance_name("instance_id", instance_id)
        end_access(key.workspace_id, instance=instance_id)
    key.is_read_only = key.is_read_only or is_read_only
    key.save(update_fields=["kind", "instance_id", "is_read_only"])
    audit.record(key.workspace_id, actor, "key.restricted", key.name, read_only=is_read_only, instance_id=instance_id)
    end_access(key.workspace_id, credential=key.credential)
    principals.drop_after_commit(key.workspace_id)


@transaction.atomic
def suspend(workspace: Workspace, reason: str, *, actor: str = "operator") -> None:
    """Stop a workspace: every call is refused with `suspended` until `resume`. One that is stopped already gets the new
    reason. Raises: CrossWireError `not_found` for one that is being erased."""
    _stop_or_go(workspace, clock.now(), reason)
    audit.record(workspace.pk, actor, "workspace.suspended", workspace.name, reason=reason)
    end_access(workspace.pk, why="suspended")
    principals.drop_after_commit(workspace.pk)


@transaction.atomic
def resume(workspace: Workspace, *, actor: str = "operator") -> None:
    """Let a suspended workspace go on. Raises: CrossWireError `not_found` for one that is being erased."""
    _stop_or_go(workspace, None, "")
    audit.record(workspace.pk, actor, "workspace.resumed", workspace.name)
    principals.drop_after_commit(workspace.pk)


def _stop_or_go(workspace: Workspace, suspended_at: datetime | None, reason: str) -> None:
    workspace.suspended_at, workspace.suspended_reason = suspended_at, reason[:200]
    alive = Workspace.objects.filter(pk=workspace.pk, closing_at=None)
    if not alive.update(suspended_at=suspended_at, suspended_reason=workspace.suspended_reason):
        raise not_found("This workspace is being erased.")


def end_access(
    workspace_id: int, *, credential: str | None = None, instance: str | None = None, why: str = "revoked"
) -> None:
    """End what is open and may be so no longer, with this transaction and once more after its commit."""

    def tell() -> None:
        access_ended.send(sender=ApiKey, workspace_id=workspace_id, credential=credential, instance=instance, why=why)

    tell()
    transaction.on_commit(tell)


def _require_unbound(live: principals.KeyQuery, instance_id: str) -> None:
    if instance_id and live.filter(kind=ApiKey.Kind.INSTANCE, instance_id=instance_id).exists():
        raise CrossWireError("instance_in_use", f'"{instance_id}" already has a key of its own; rotate or revoke that.')


def require_room(workspace: Workspace, live: int, otherwise: str) -> None:
    """Raises: CrossWireError `limit_reached` when the plan, as it is now, allows no key beside so many that work."""
    plan = plan_in_force(workspace.plan, workspace.overrides)
    if live >= plan.live_keys:
        message = f"Plan {plan.title} has {plan.live_keys} live keys and {live} exist. {otherwise}"
        raise refusals.limit_reached(plan, message, workspace.slug, limit=plan.live_keys, used=live)


def live_keys(workspace: Workspace) -> principals.KeyQuery:
    """Return the keys of a workspace that work now."""
    return principals.working(ApiKey.objects.filter(workspace=workspace))


def find_workspace(wanted: str) -> Workspace:
    """Return the workspace of a slug, else the one of a name, as operators name it. Raises: CrossWireError `not_found`,
    `invalid_input` for a name that several have."""
    found = list(Workspace.objects.filter(slug=wanted) or Workspace.objects.filter(name=wanted).order_by("pk")[:20])
    if not found:
        raise not_found(f'There is no workspace "{wanted}".')
    if len(found) > 1:
        slugs = ", ".join(each.slug for each in found)
        raise invalid(f'Several workspaces are named "{wanted}": name one by its slug ({slugs}).')
    return found[0]
