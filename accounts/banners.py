"""What a workspace has to tell its members on each of its pages: two banners at most, the most urgent ones.

Apps above this one add theirs by the signal `workspace_banners`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from django.utils.html import format_html

from accounts import history
from accounts.here import Here
from accounts.models import Workspace
from accounts.roles import Action
from accounts.signals import workspace_banners
from accounts.templatetags.pages import moment

MOST = 2


class Urgency(IntEnum):
    """What goes before what."""

    PAYMENT = 1
    QUOTA_FULL = 2
    PLAN_ENDS = 3
    HISTORY_ENDS = 4
    QUOTA_NEARLY = 5


@dataclass(frozen=True)
class Banner:
    """One thing that members are told. `text` is safe as HTML only if it is marked so; `url` is where to go on."""

    urgency: Urgency
    text: str
    url: str = ""
    link: str = ""

    @property
    def tone(self) -> str:
        """How loud it looks."""
        return "error" if self.urgency in (Urgency.PAYMENT, Urgency.QUOTA_FULL) else "warning"


def shown(here: Here) -> list[Banner]:
    """Return the banners of a workspace's pages for a member, the most urgent first. A suspended one has none."""
    if here.workspace.suspended_at:
        return []
    told: Any = workspace_banners.send(sender=Workspace, here=here)
    found = [*_history(here), *(banner for _, banners in told for banner in banners)]
    return sorted(found, key=lambda banner: banner.urgency)[:MOST]


def _history(here: Here) -> Iterable[Banner]:
    fall = history.next_fall(here.workspace)
    if fall is None:
        return
    days = "1 day" if fall.days == 1 else f"{fall.days} days"
    text = format_html("History older than {} is kept until {}, then it goes.", days, moment(fall.at))
    if here.may(Action.EXPORT):
        yield Banner(Urgency.HISTORY_ENDS, text, f"/w/{here.workspace.slug}/settings#exports", "Export it first")
    else:
        yield Banner(Urgency.HISTORY_ENDS, text)
