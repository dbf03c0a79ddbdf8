"""`GET /health`: whether this process can serve, asked without a key."""

from __future__ import annotations

import asyncio

from django.db import DatabaseError, InterfaceError, connection
from psycopg_pool import PoolTimeout

from crosswire import __version__
from crosswire.lib import executor, http
from crosswire.lib.errors import CrossWireError, unavailable

PATH = "/health"
_PATIENCE_SECONDS = 3.0


async def answer(send: http.Send) -> None:
    """Answer 200 only when the database does, 503 otherwise."""
    try:
        await asyncio.wait_for(executor.run(_ask_database), _PATIENCE_SECONDS)
    except TimeoutError:
        await http.reply_refusal(send, unavailable("The database does not answer in time."))
    except CrossWireError as refusal:
        await http.reply_refusal(send, refusal)
    else:
        await http.reply_json(send, 200, {"status": "ok", "version": __version__})


def _ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError, PoolTimeout) as problem:
        raise unavailable("The database does not answer.") from problem
