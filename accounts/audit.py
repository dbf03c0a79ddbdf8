"""The record of who did what: append-only."""

from __future__ import annotations

from typing import Any

from accounts.models import AuditEvent


def record(workspace_id: int | None, actor: str, action: str, target: str = "", **details: Any) -> None:
    """Add one event. `action` is a dotted word such as `key.revoked`; no secret ever goes into `details`."""
    AuditEvent.objects.create(
        workspace_id=workspace_id, actor=actor[:160], action=action, target=target[:200], details=details
    )
