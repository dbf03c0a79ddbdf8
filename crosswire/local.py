"""One process of local mode: prepare the database, serve one client over stdio, leave in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import BinaryIO

from django.db import DatabaseError, connections

from accounts import principals, services
from accounts.models import Workspace
from bus import streams, waiting
from bus.mcp import server
from bus.mcp.stdio import Connection
from bus.services import instances, waits
from crosswire import migrating
from crosswire.lib import hub
from crosswire.lib.errors import CrossWireError

WORKSPACE, PLAN = "local", "unlimited"
ANSWER_SECONDS = 1.5
"""How long calls have to end in good order; clients kill who takes longer than two seconds."""

logger = logging.getLogger(__name__)


def serve() -> None:
    """Answer the client at the other end of standard input and output until it leaves or SIGTERM or SIGINT comes."""
    os.umask(0o077)
    lines, wire = _take_pipes()
    workspace_id = prepared()
    asyncio.run(_serve(workspace_id, lines, wire))
    # A thread may wait for input, or for a client that does not read; nothing that was acknowledged can be lost.
    logging.shutdown()
    os._exit(0)


def prepared() -> int:
    """Bring the database up to date and return the workspace of local mode."""
    try:
        with migrating.alone():
            migrating.migrate()
            return (workspace() or services.create_workspace(WORKSPACE, PLAN)).pk
    finally:
        connections.close_all()


def workspace() -> Workspace | None:
    """Return the workspace of local mode; None in a database that was not made by it."""
    return Workspace.objects.filter(name=WORKSPACE, plan=PLAN).order_by("pk").first()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output, which from here on are nothing and standard error to everybody else."""
    lines, wire = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return lines, wire


async def _serve(workspace_id: int, lines: BinaryIO, wire: BinaryIO) -> None:
    connection = Connection(server.build(), workspace_id, lines, wire)
    hub.listen()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, connection.gone.set)
    serving = asyncio.ensure_future(connection.serve())
    gone = asyncio.ensure_future(connection.gone.wait())
    await asyncio.wait([serving, gone], return_when=asyncio.FIRST_COMPLETED)
    waiting.room.close()
    streams.close()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.answered()
            connection.close()
            await serving
    except TimeoutError:
        logger.warning("stdio_ended_early")
    finally:
        await asyncio.to_thread(_leave, workspace_id, connection.spoke)
        await asyncio.to_thread(hub.close)


def _leave(workspace_id: int, names: set[str]) -> None:
    """Have nobody wait for who spoke here: their waits are over, and they are offline."""
    try:
        waits.forget_process(waiting.PROCESS)
        instances.leave_with(principals.of_stdio(workspace_id), names, waiting.PROCESS)
    except (CrossWireError, DatabaseError):
        logger.exception("not_marked_offline")
