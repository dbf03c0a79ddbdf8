"""Who calls: Alice owns a workspace, Bob has a key of his own in it, Mallory is a stranger with hers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connections

if TYPE_CHECKING:
    from accounts.models import Workspace


CAST = "cast"
"""How the names of the threads begin that do a test's own database work."""


@dataclass(frozen=True)
class Credential:
    """A key, whatever workspace it belongs to; what `call` needs of a caller."""

    key: str

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the key."""
        return {"Authorization": f"Bearer {self.key}"}


@dataclass(frozen=True)
class Caller(Credential):
    """A key and the row of its workspace, which lies in this process's database."""

    workspace: Workspace

    def key_for(self, instance_id: str | None = None, *, read_only: bool = False) -> str:
        """Make another key of the workspace, bound to an instance if one is named; return its text."""
        from accounts.services import create_key  # noqa: PLC0415 - this module is imported before Django is set up

        return in_thread(
            lambda: create_key(self.workspace, "a key", instance_id=instance_id or "", is_read_only=read_only)[1]
        )

    def with_key(self, instance_id: str | None = None, *, read_only: bool = False) -> Caller:
        """Return another caller of the same workspace with a new key, see `key_for`."""
        return Caller(self.key_for(instance_id, read_only=read_only), self.workspace)


def make_workspace(plan: str = "pro", name: str = "acme") -> Caller:
    """Make a workspace with a workspace key of its own; the name gets a random end."""
    from accounts.services import create_key, create_workspace  # noqa: PLC0415 - as above

    def make() -> Caller:
        workspace = create_workspace(f"{name} {secrets.token_hex(4)}", plan)
        return Caller(create_key(workspace, "first key")[1], workspace)

    return in_thread(make)


def in_thread[T](work: Callable[[], T]) -> T:
    """Do sync database work; in another thread when an event loop runs in this one, where Django refuses it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()

    def job() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1, thread_name_prefix=CAST) as pool:
        return pool.submit(job).result(timeout=60)
