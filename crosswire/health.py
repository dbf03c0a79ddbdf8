"""What operators' machines ask: `GET /health`, whether this process can serve, and `GET /metrics`, its figures."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.conf import settings
from django.db import connection

from crosswire import __version__
from crosswire.lib import http, metrics
from crosswire.lib.database import DatabaseProblem
from crosswire.lib.errors import CrossWireError, not_found, unavailable

PATH = "/health"
METRICS_PATH = "/metrics"
_PATIENCE_SECONDS = 3.0


async def answer(send: http.Send) -> None:
    """Answer 200 only when the database does, 503 otherwise."""
    try:
        asked = asyncio.get_running_loop().run_in_executor(_thread(), _ask_database)
        await asyncio.wait_for(asked, _PATIENCE_SECONDS)
    except TimeoutError:
        await http.reply_refusal(send, unavailable("The database does not answer in time."))
    except CrossWireError as refusal:
        await http.reply_refusal(send, refusal)
    else:
        await http.reply_json(send, 200, {"status": "ok", "version": __version__})


def is_database_there() -> bool:
    """Return whether the database answers in time. For threads."""
    try:
        _thread().submit(_ask_database).result(_PATIENCE_SECONDS)
    except (TimeoutError, CrossWireError):
        return False
    return True


async def answer_figures(scope: http.Scope, send: http.Send) -> None:
    """Answer with Prometheus' text format to who has METRICS_TOKEN; without one set there is nothing here."""
    token = settings.METRICS_TOKEN
    given = http.header(scope, b"authorization").removeprefix("Bearer ")
    if not token:
        await http.reply_refusal(send, not_found("There is nothing at this address."))
    elif not secrets.compare_digest(given.encode(), token.encode()):
        await http.reply_refusal(send, CrossWireError("unauthorized", "METRICS_TOKEN is needed, as a Bearer token."))
    else:
        body = await asyncio.to_thread(metrics.exposition)
        headers = [(b"content-type", metrics.CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, *http.SECURITY_HEADERS]})
        await send({"type": "http.response.body", "body": body})


@cache
def _thread() -> ThreadPoolExecutor:
    """Return a thread of its own: that all others are busy says nothing of the database."""
    return ThreadPoolExecutor(1, thread_name_prefix="crosswire-health")


def _ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseProblem as problem:
        raise unavailable("The database does not answer.") from problem
    finally:
        connection.close()
