"""Start everything in one process: the embedded default behind `make run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connections, transaction

from accounts import principals, services
from accounts.models import Workspace
from crosswire import migrating
from crosswire.lib import env
from crosswire.lib.errors import CrossWireError

DEMO = "demo"

BANNER = """\
CrossWire listens on {url}  (Ctrl-C ends it)

API key of the workspace "{workspace}" (also in {key_file}):
  {key}

Connect Claude Code:
  claude mcp add --transport http crosswire {url}/mcp --header "Authorization: Bearer {key}"

Send a message:
  curl -s {url}/api/messages -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
-d '{{"channel":"general","sender":"me","content":"hello"}}'
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
                key = prepared()
                embedded.serve(listener, on_ready=lambda: self.announce(key))
        except embedded.PortTaken as problem:
            raise CommandError(
                f"Port {settings.PORT} cannot be used ({problem}). Choose another one, for instance: PORT=8321 make run"
            ) from problem

    def announce(self, key: str) -> None:
        """Print where CrossWire is and two commands that work as they stand."""
        banner = BANNER.format(url=settings.PUBLIC_URL, workspace=DEMO, key=key, key_file=shown(demo_key_file()))
        self.stdout.write(banner)
        self.stdout.flush()


def prepared() -> str:
    """Bring the database up to date and return the demo workspace's key. Raises: CommandError."""
    try:
        with migrating.alone():
            migrating.migrate()
        return demo_key(demo_key_file())
    except OperationalError as problem:
        raise CommandError(f"The database does not answer: {problem}") from problem
    except CrossWireError as refusal:
        raise CommandError(f"No key for the demo workspace: {refusal.message}") from refusal
    finally:
        connections.close_all()


def demo_key_file() -> Path:
    """Return where the demo workspace's key is kept."""
    return Path(settings.VAR_DIR) / "demo_key"


def demo_key(kept_in: Path) -> str:
    """Return a key of the demo workspace that works: the kept one, else a new one, which is then kept."""
    kept = kept_in.read_text(encoding="utf-8", errors="replace").strip() if kept_in.is_file() else ""
    if kept and is_known(kept):
        return kept
    with transaction.atomic():
        workspace = Workspace.objects.filter(name=DEMO).order_by("pk").first()
        _, key = services.create_key(workspace or services.create_workspace(DEMO, "pro"), "made by `make run`")
    env.write_private(kept_in, key)
    return key


def is_known(key: str) -> bool:
    """Return whether the database still has this key, as it will not after its file was deleted."""
    try:
        principals.authenticate(key)
    except CrossWireError as refusal:
        return refusal.code != "unauthorized"
    return True


def shown(path: Path) -> Path:
    """Return the path as somebody in this folder would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
