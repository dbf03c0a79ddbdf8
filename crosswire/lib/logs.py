"""Log lines: with the id of the request they belong to, and never with a key in them."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog


@dataclass(slots=True)
class Request:
    """A request as its log lines tell it: `id`, which is in its answer's `X-Request-ID`, and once known the workspace's
    id and the operation."""

    id: str
    workspace: int | None = None
    operation: str = "-"


current: ContextVar[Request | None] = ContextVar("request", default=None)


def note_operation(name: str) -> None:
    """Have the lines of the request under way tell what it asks for."""
    if (request := current.get()) is not None:
        request.operation = name


def note_workspace(workspace_id: int) -> None:
    """Have the lines of the request under way tell whose it is."""
    if (request := current.get()) is not None:
        request.workspace = workspace_id


_SECRETS = re.compile(
    r"(?P<kept>cw_[a-z2-7]{8})[a-z2-7]{8,}"
    r"|(?P<name>(?:api_key|access_token)(?:=|%3D))[^&\s\"']+"
    r"|(?P<scheme>\bBearer\s+)(?!cw_)[\w.~+/=-]{16,}",
    re.IGNORECASE,
)
_MAY_HOLD_SECRETS = ("cw_", "api_key", "access_token", "earer")


def without_secrets(line: str) -> str:
    """Return a line with keys cut to the part that lists show, and tokens left out."""
    if not any(part in line for part in _MAY_HOLD_SECRETS):
        return line
    return _SECRETS.sub(lambda found: f"{found['kept'] or found['name'] or found['scheme']}…", line)


class LineFormatter(logging.Formatter):
    """Lines for people: time, level, logger, request id, text."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(request)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        request = current.get()
        known = f"[{request.id} w{request.workspace or '-'} {request.operation}] " if request else ""
        record.request = known
        return without_secrets(super().format(record))


class JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Lines for programs: one JSON object each."""

    def __init__(self) -> None:
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _with_request,
                structlog.processors.format_exc_info,
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return without_secrets(super().format(record))


def _with_request(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if request := current.get():
        event.update(request_id=request.id, workspace=request.workspace, operation=request.operation)
    return event
