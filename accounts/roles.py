"""Who in a workspace may do what: one table. Pages, sockets and downloads ask here and nowhere else."""

from __future__ import annotations

from enum import StrEnum

from accounts.models import Member

OWNER, ADMIN, MEMBER, VIEWER = Member.Role.OWNER, Member.Role.ADMIN, Member.Role.MEMBER, Member.Role.VIEWER


class Action(StrEnum):
    """Something a person does in a workspace."""

    VIEW = "see conversations, shared data, instances and usage"
    POST = "write in channels"
    MODERATE = "pause, archive and describe channels, delete shared data"
    MAKE_KEYS = "make keys, and rotate or revoke their own"
    MANAGE_KEYS = "rotate and revoke everybody's keys"
    MANAGE_MEMBERS = "invite and remove people and set their roles"
    VIEW_AUDIT = "read the audit log"
    CHANGE_SETTINGS = "change the workspace's settings"
    EXPORT = "export everything"
    BILLING = "change the plan and how it is paid"
    HAND_OVER = "hand the workspace over"
    DELETE = "delete the workspace"


_MEMBER = {Action.VIEW, Action.POST, Action.MODERATE, Action.MAKE_KEYS}
_ADMIN = _MEMBER | {
    Action.MANAGE_KEYS,
    Action.MANAGE_MEMBERS,
    Action.VIEW_AUDIT,
    Action.CHANGE_SETTINGS,
    Action.EXPORT,
}
POLICY: dict[Member.Role, frozenset[Action]] = {
    VIEWER: frozenset({Action.VIEW}),
    MEMBER: frozenset(_MEMBER),
    ADMIN: frozenset(_ADMIN),
    OWNER: frozenset(Action),
}
"""What each role may do. `docs/` shows it, a test walks every page with every role."""
_RANK = [VIEWER, MEMBER, ADMIN, OWNER]
_CALLED = {VIEWER: "a viewer", MEMBER: "a member", ADMIN: "an admin", OWNER: "the owner"}


def may(role: str, action: Action) -> bool:
    """Return whether a member of this role may do that."""
    return action in POLICY[Member.Role(role)]


def able(action: Action) -> list[Member.Role]:
    """Return the roles that allow that, the least first."""
    return [role for role in _RANK if may(role, action)]


def who_may(action: Action) -> str:
    """Return a sentence about whose role allows that."""
    who_can = [_CALLED[role] for role in able(action)]
    if who_can == [_CALLED[OWNER]]:
        return "Only the owner of the workspace can do that."
    *others, owner = who_can
    who = f"{', '.join(others)} or {owner} of the workspace".capitalize()
    return f"{who} can do that. An admin or the owner can give you a role that may."


def grantable(role: str) -> list[Member.Role]:
    """Return the roles that a member of this role may give to others or take from them: those below its own, and for
    owners admin and below (ownership is handed over, never given)."""
    if not may(role, Action.MANAGE_MEMBERS):
        return []
    below = _RANK[: _RANK.index(Member.Role(role))]
    return [each for each in reversed(below) if each is not OWNER]


def narrows(before: str, after: str) -> bool:
    """Return whether a member who gets the role `after` loses something that `before` allowed."""
    return not POLICY[Member.Role(after)] >= POLICY[Member.Role(before)]


def table() -> list[tuple[Action, list[bool]]]:
    """Return each action and whether owners, admins, members and viewers may do it, in this order."""
    return [(action, [may(role, action) for role in reversed(_RANK)]) for action in Action]
