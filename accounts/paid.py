"""What is paid for a workspace, as whoever takes payments tells it: nothing, where nobody does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.models import Workspace
from accounts.plans import PLANS
from accounts.signals import workspace_paid


@dataclass(frozen=True, slots=True)
class Paid:
    """A subscription that goes on: the plan it is for ("" for none of ours), and `method`, how it is paid, in words (""
    when that is not known). `is_overdue`: the payment is missing, so that it may stand for nothing."""

    plan: str
    method: str = ""
    is_overdue: bool = False

    @property
    def title(self) -> str:
        """The plan's name for people."""
        return PLANS[self.plan].title if self.plan in PLANS else "a plan of its own"

    def is_larger_than(self, plan: str) -> bool:
        """Whether more is paid for than this plan."""
        order = list(PLANS)
        return self.plan in order and order.index(self.plan) > order.index(plan)


def paid_for(workspace: Workspace) -> Paid | None:
    """Return what is paid for a workspace; None without a subscription."""
    told: Any = workspace_paid.send(sender=Workspace, workspace=workspace)
    return next((each for _, each in told if each is not None), None)
