"""Start everything in one process: the embedded default behind `make run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connections

from accounts import principals, services
from accounts.models import Workspace
from billing.demo import mounting
from billing.demo.server import Server
from crosswire import migrating
from crosswire.lib import env
from crosswire.lib.errors import CrossWireError

DEMO = "demo"
DEFAULT_PORT = 8000

BANNER = """\
CrossWire listens on {url}  (Ctrl-C ends it)

API key of the workspace "{workspace}" (also in {key_file}):
  {key}

Connect Claude Code:
  claude mcp add --transport http crosswire {url}/mcp --header "Authorization: Bearer {key}"

Send a message:
  curl -s {url}/api/messages -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
-d '{{"channel":"general","sender":"me","content":"hello"}}'

See it in the browser: sign up at {url}/accounts/signup/
  Mails do not leave this machine: the code that signing up asks for appears here. You get a workspace of your own;
  to see "{workspace}" as well, run in a second terminal:
  {manage} join {workspace} YOUR_EMAIL
"""


class Command(BaseCommand):
    """`run` migrates, makes a demo workspace on the first start and serves until Ctrl-C or SIGTERM."""

    help = "Start CrossWire on this machine, with a demo workspace; PORT chooses the port."

    requires_system_checks = ()  # run below: what production lacks would hide the one thing to do

    def handle(self, *args: Any, **options: Any) -> None:
        """Take the port first, so that a second server fails before it touches anything."""
        if settings.IS_PRODUCTION:
            raise CommandError(
                f"`run` serves this machine alone, and PUBLIC_URL is {settings.PUBLIC_URL}: start the processes of the "
                "Procfile instead, or unset PUBLIC_URL."
            )
        self.check()
        from crosswire import embedded  # noqa: PLC0415 - importing the application is itself refused where it is unsafe

        try:
            with embedded.take_port(settings.PORT) as listener:
                workspace, key = prepared()
                demo = mounting.mount() if mounting.is_allowed() else None
                embedded.serve(listener, on_ready=lambda: self.begin(workspace, key, demo))
        except embedded.PortTaken as problem:
            raise CommandError(
                f"Port {settings.PORT} cannot be used ({problem}). Choose another one, for instance: PORT=8321 make run"
            ) from problem

    def begin(self, workspace: str, key: str, demo: Server | None) -> None:
        """Tell where CrossWire is, and let the webhooks of demo payments go that an earlier run left."""
        self.announce(workspace, key)
        if demo is not None:
            demo.deliverer.start()

    def announce(self, workspace: str, key: str) -> None:
        """Print where CrossWire is and two commands that work as they stand."""
        banner = BANNER.format(
            url=settings.PUBLIC_URL,
            workspace=workspace,
            key=key,
            key_file=shown(demo_key_file()),
            manage=("" if settings.PORT == DEFAULT_PORT else f"PORT={settings.PORT} ")
            + (f"{shown(Path(sys.executable))} manage.py" if settings.IS_CHECKOUT else "crosswire"),
        )
        self.stdout.write(banner)
        self.stdout.flush()


def prepared() -> tuple[str, str]:
    """Bring the database up to date and return the name and a key of the workspace to show: that of local mode where
    the file is its own, else the demo workspace. Raises: CommandError."""
    from crosswire import local  # noqa: PLC0415 - as above

    try:
        with migrating.alone():
            migrating.migrate()
        workspace = local.workspace() or demo_workspace()
        return workspace.name, key_of(workspace, demo_key_file())
    except OperationalError as problem:
        raise CommandError(f"The database does not answer: {problem}") from problem
    except CrossWireError as refusal:
        raise CommandError(f"No key to show: {refusal.message}") from refusal
    finally:
        connections.close_all()


def demo_key_file() -> Path:
    """Return where the demo workspace's key is kept."""
    return Path(settings.VAR_DIR) / "demo_key"


def demo_workspace() -> Workspace:
    """Return the demo workspace, which the first start makes."""
    return Workspace.objects.filter(name=DEMO).order_by("pk").first() or services.create_workspace(DEMO, "pro")


def key_of(workspace: Workspace, kept_in: Path) -> str:
    """Return a key of a workspace that works: the kept one, else a new one, which is then kept."""
    kept = kept_in.read_text(encoding="utf-8", errors="replace").strip() if kept_in.is_file() else ""
    if kept and is_of(workspace, kept):
        return kept
    _, key = services.create_key(workspace, "made by `make run`")
    env.write_private(kept_in, key)
    return key


def is_of(workspace: Workspace, key: str) -> bool:
    """Return whether the database still has this key for a workspace, as it will not after its file was deleted."""
    try:
        return principals.authenticate(key).workspace_id == workspace.pk
    except CrossWireError as refusal:
        return refusal.code != "unauthorized"


def shown(path: Path) -> Path:
    """Return the path as somebody in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
