"""What the pages of a workspace say of its quotas once they are nearly used."""

from __future__ import annotations

from django.utils.html import format_html

from accounts.banners import Banner, Urgency
from accounts.here import Here
from accounts.quotas import LINES, Use
from accounts.roles import Action
from accounts.templatetags.pages import moment, number, size
from bus import quotas
from bus.services import limits
from bus.services.limits import Counted
from crosswire.lib import clock


def of_quotas(here: Here) -> list[Banner]:
    """Return a banner for each quota of which much is used."""
    uses = quotas.uses(here.principal.plan, counted(here))
    return [_banner(here, use) for use in uses if use.line]


def counted(here: Here) -> Counted:
    """Return what counts against the quotas, read once a request."""
    if "counted" not in here.notes:
        here.notes["counted"] = limits.counted(here.principal)
    found: Counted = here.notes["counted"]
    return found


def _banner(here: Here, use: Use) -> Banner:
    is_full = use.line == LINES[-1]
    text = _of_messages(use, is_full=is_full) if use.what == "messages" else _of_data(use, is_full=is_full)
    urgency = Urgency.QUOTA_FULL if is_full else Urgency.QUOTA_NEARLY
    link = "Upgrade" if here.may(Action.BILLING) else "Who can upgrade"
    return Banner(urgency, text, f"/w/{here.workspace.slug}/billing", link)


def _of_messages(use: Use, *, is_full: bool) -> str:
    anew = moment(clock.month_ends_at(clock.now()))
    if is_full:
        said = "All {} messages of this month are used: further ones are refused until {}."
        return format_html(said, number(use.limit), anew)
    said = "{} of {} messages of this month are used. The count starts anew on {}."
    return format_html(said, number(use.used), number(use.limit), anew)


def _of_data(use: Use, *, is_full: bool) -> str:
    said = "Shared data is full ({} of {}): new items are refused." if is_full else "{} of {} of shared data are used."
    return format_html(said, size(use.used), size(use.limit))
