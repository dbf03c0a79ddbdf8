"""What accounts tells the apps above it."""

from django.dispatch import Signal

workspace_created = Signal()
"""Sent with `workspace`, inside the transaction that makes it."""

access_ended = Signal()
"""Sent with `workspace_id`, `credential` (None: all), `instance` (None: all) and `why`, when somebody lost the right to
call: inside the transaction that takes it away, and again after its commit, for what was begun meanwhile.

`why` is `revoked`, `suspended`, or `restart` when the credential goes on with another key."""

workspace_banners = Signal()
"""Sent with `here` (accounts/here.py) for each page of a workspace that is shown; who has something to tell its members
returns banners (accounts/banners.py). They cost a statement or two: it is every page."""

workspace_used = Signal()
"""Sent with `here` for a page that shows what is used of the plan; who knows returns meters for bus/meter.html."""

suspension_told = Signal()
"""Sent with `workspace` for a mail about a suspension or its end; who knows what goes on meanwhile returns a sentence,
or ""."""

workspace_closing = Signal()
"""Sent with `workspace`, before it is deleted."""

workspace_counted = Signal()
"""Sent with `workspace`; who keeps rows of it returns what and how many, for people: `[("messages", 3), …]`."""

workspace_paid = Signal()
"""Sent with `workspace`; who takes payments returns what is paid for it (accounts/paid.py), or None."""

workspace_handed_over = Signal()
"""Sent with `workspace`, `before` and `after` (the owners' addresses), inside the transaction that hands it over."""

workspace_exported = Signal()
"""Sent with `workspace` and an `archive` (accounts/archive.py); who keeps rows of it writes them into the archive."""

workspace_erased = Signal()
"""Sent with `workspace_id` and `alive`; who keeps rows of it deletes them, in bounded steps, calling `alive()` between
two. Sent once more with `is_last` inside the transaction that deletes the workspace itself, for the few that came
meanwhile. Safe to be sent again."""

person_erased = Signal()
"""Sent with `places` and `alive`: `(workspace_id, member_id or None, name)` wherever a person wrote, perhaps. Who keeps
their name there puts `human` in its place, in bounded steps, and returns every `(workspace_id, name)` that is nobody's
there any more. Safe to be sent again."""

address_erased = Signal()
"""Sent with `address`, one of a person whose account is erased, and `nobody`, the words that come in its place; who
keeps addresses puts them there. Safe to be sent again."""
