"""`GET /health`: whether this process can serve, asked without a key."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, connection

from crosswire import __version__
from crosswire.lib import executor, http
from crosswire.lib.errors import CrossWireError, unavailable

PATH = "/health"


async def answer(send: http.Send) -> None:
    """Answer 200 only when the database does, 503 otherwise."""
    try:
        await executor.run(_ask_database)
    except CrossWireError as refusal:
        await http.reply_refusal(send, refusal)
    else:
        await http.reply_json(send, 200, {"status": "ok", "version": __version__})


def _ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError) as problem:
        raise unavailable("The database does not answer.") from problem
