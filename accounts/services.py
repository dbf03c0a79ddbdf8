"""Making workspaces and keys, and taking them away."""

from __future__ import annotations

from django.db import transaction

from accounts import audit, principals
from accounts.models import ApiKey, User, Workspace
from accounts.plans import PLANS, plan_in_force
from accounts.signals import workspace_created
from crosswire.lib import clock, keys
from crosswire.lib.errors import CrossWireError, invalid
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
    Workspace.objects.select_for_update().get(pk=workspace.pk)  # one at a time, so that the limit is exact
    live = live_keys(workspace)
    limit = plan_in_force(workspace.plan, workspace.overrides).live_keys
    if live.count() >= limit:
        raise CrossWireError("limit_reached", f"This workspace has {limit} live keys, its limit; revoke one first.")
    if instance_id and live.filter(kind=ApiKey.Kind.INSTANCE, instance_id=instance_id).exists():
        raise CrossWireError("instance_in_use", f'"{instance_id}" already has a key of its own; rotate or revoke that.')
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
    principals.drop_after_commit(workspace.pk)
    return key, text


@transaction.atomic
def revoke_key(key: ApiKey, *, actor: str = "operator") -> None:
    """End a key. Processes forget it at once where the hub reaches them, within five seconds elsewhere."""
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.save(update_fields=["revoked_at"])
        audit.record(key.workspace_id, actor, "key.revoked", key.name, prefix=key.prefix)
    principals.drop_after_commit(key.workspace_id)


@transaction.atomic
def suspend(workspace: Workspace, reason: str, *, actor: str = "operator") -> None:
    """Stop a workspace: every call is refused with `suspended` until `resume`."""
    workspace.suspended_at, workspace.suspended_reason = clock.now(), reason[:200]
    workspace.save(update_fields=["suspended_at", "suspended_reason"])
    audit.record(workspace.pk, actor, "workspace.suspended", workspace.name, reason=reason)
    principals.drop_after_commit(workspace.pk)


@transaction.atomic
def resume(workspace: Workspace, *, actor: str = "operator") -> None:
    """Let a suspended workspace go on."""
    workspace.suspended_at, workspace.suspended_reason = None, ""
    workspace.save(update_fields=["suspended_at", "suspended_reason"])
    audit.record(workspace.pk, actor, "workspace.resumed", workspace.name)
    principals.drop_after_commit(workspace.pk)


def live_keys(workspace: Workspace) -> principals.KeyQuery:
    """Return the keys of a workspace that work now."""
    return principals.working(ApiKey.objects.filter(workspace=workspace))
