"""Who sends a request, for the surfaces below Django; and what a client is told when we broke."""

from __future__ import annotations

import logging
from uuid import uuid4

from accounts import principals, rates
from accounts.principals import Principal
from bus import calls
from crosswire.lib import executor, http, logs
from crosswire.lib.database import DatabaseProblem
from crosswire.lib.errors import CrossWireError, unavailable

logger = logging.getLogger(__name__)


async def identify(scope: http.Scope) -> tuple[Principal, http.Scope]:
    """Return who calls, and the request without its key.

    Raises: CrossWireError `unauthorized`, `suspended`, and `rate_limited` for an address that fails again and again.
    """
    key, scope = http.take_key(scope)
    client = http.header(scope, b"user-agent")
    try:
        if not key:
            raise principals.missing_key()
        principal = principals.recall(key)
        if principal is None:
            principal = await executor.run(principals.authenticate, key)
    except CrossWireError as refusal:
        if refusal.code == "unavailable":
            raise
        await rates.acount_stranger(http.client_address(scope))
        raise
    logs.note_workspace(principal.workspace_id)
    return principal.calling(client), scope


def unexpected(where: str, problem: BaseException) -> CrossWireError:
    """Log an exception nobody foresaw and return what the client is told: a number to ask about, or that the database
    is away, which it can be before an operation begins. What the call was handed does not arrive."""
    calls.failed()
    if isinstance(problem, DatabaseProblem):
        logger.error("database_error in %s", where, exc_info=problem)
        return unavailable("The database is away or busy; try again.")
    reference = uuid4().hex[:12]
    logger.error("unexpected_error %s in %s", reference, where, exc_info=problem, extra={"reference": reference})
    return CrossWireError(
        "internal", f"Something broke here (reference {reference}); it was logged.", reference=reference
    )
