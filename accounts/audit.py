"""The record of who did what: append-only."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from accounts.models import AuditEvent, Member, User
from accounts.principals import Principal

OPERATOR = "operator"
"""Whoever runs the service: so they are recorded from the command line, and so customers read of all of them."""


def operator(user: User) -> str:
    """Return how the record names somebody who acts as an operator: which one, apart from what they do as a member."""
    return f"{OPERATOR} {user.email}"


def is_operator(actor: str) -> bool:
    """Return whether an actor is an operator. No address has a blank, so a member never is."""
    return actor == OPERATOR or actor.startswith(f"{OPERATOR} ")


def by_operators() -> Q:
    """Return the condition for what operators did."""
    return Q(actor=OPERATOR) | Q(actor__startswith=f"{OPERATOR} ")


def for_customers(actor: str) -> str:
    """Return an actor as the workspace's own people may know them: which operator it was is the service's affair."""
    return OPERATOR if is_operator(actor) else actor


def record(workspace_id: int | None, actor: str, action: str, target: str = "", **details: Any) -> None:
    """Add one event. `action` is a dotted word such as `key.revoked`; no secret ever goes into `details`."""
    AuditEvent.objects.create(
        workspace_id=workspace_id, actor=actor[:160], action=action, target=target[:200], details=details
    )


def record_person(principal: Principal, action: str, target: str = "", **details: Any) -> None:
    """Add what a person did through a service that agents use too; they are named as their pages name them."""
    assert principal.member_id is not None
    member = Member.objects.select_related("user").get(pk=principal.member_id)
    record(principal.workspace_id, member.user.email, action, target, **details)
